//! The threads of a node's proxy. Each has a runtime of its own, and each
//! endpoint one thread: what floods one pod disturbs its thread's others alone.

use std::{io, num::NonZeroUsize, thread};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

/// The threads, and how many endpoints each has.
#[derive(Debug)]
pub(super) struct Threads(Vec<Thread>);

#[derive(Debug)]
struct Thread {
    handle: Handle,
    endpoints: usize,
    /// Dropped, it ends the thread; the first is not ours to end.
    _end: Option<oneshot::Sender<()>>,
}

impl Threads {
    /// So many, of which the first is this one.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let mut threads = vec![Thread { handle: Handle::current(), endpoints: 0, _end: None }];
        for number in 1..count.get() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let (end, ended) = oneshot::channel::<()>();
            thread::Builder::new().name(format!("endpoints-{number}")).spawn(move || {
                runtime.block_on(async { drop(ended.await) });
            })?;
            threads.push(Thread { handle, endpoints: 0, _end: Some(end) });
        }
        Ok(Self(threads))
    }

    /// The thread with the fewest endpoints gets one more.
    pub(super) fn enter(&mut self) -> (usize, Handle) {
        let fewest = self.0.iter_mut().enumerate().min_by_key(|(_, thread)| thread.endpoints);
        match fewest {
            Some((number, thread)) => {
                thread.endpoints = thread.endpoints.saturating_add(1);
                (number, thread.handle.clone())
            }
            // There always is one.
            None => (0, Handle::current()),
        }
    }

    /// One of its endpoints has ended.
    pub(super) fn leave(&mut self, number: usize) {
        if let Some(thread) = self.0.get_mut(number) {
            thread.endpoints = thread.endpoints.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn endpoints_spread_over_all_threads() {
        let mut threads = Threads::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let numbers: Vec<_> = (0..4).map(|_| threads.enter().0).collect();
        assert_eq!(numbers, [0, 1, 2, 0]);
        threads.leave(1);
        let (number, handle) = threads.enter();
        assert_eq!(number, 1, "who has lost one gets the next");
        let name = handle.spawn(async { thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.unwrap().as_deref(), Some("endpoints-1"));
    }
}
