//! Pipes through which the kernel moves bytes between sockets (splice(2)).

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::{io::Interest, net::TcpStream};

/// The most bytes in a pipe. One that cannot have so much has what it has.
pub(crate) const PIPE_BYTES: usize = 256 << 10;

/// Pipes that are kept open while nobody uses them.
const MOST_IDLE: usize = 8;

/// The pipes of one sidecar.
#[derive(Debug, Clone)]
pub(crate) struct Pipes(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    idle: Mutex<Vec<Pipe>>,
    /// How many more may be borrowed.
    left: AtomicUsize,
}

/// An empty pipe: what it reads is what was written.
#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipes {
    /// At most so many at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shelf { idle: Mutex::default(), left: AtomicUsize::new(most) }))
    }

    /// A pipe, if there is one to spare.
    pub(crate) fn borrow(&self) -> Option<Borrowed> {
        let Shelf { idle, left } = self.0.as_ref();
        let take = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Whoever borrows in vain goes on without.
        let Some(pipe) = kept.or_else(|| Pipe::open().ok()) else {
            left.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        Some(Borrowed { pipe: Some(pipe), held: 0, pipes: self.clone() })
    }
}

#[cfg(test)]
impl Pipes {
    /// How many more may be borrowed.
    pub(crate) fn left(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The user's share of large pipes may be used up: a small one does as well.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }
}

/// A pipe and what is in it. An empty one goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Borrowed {
    pipe: Option<Pipe>,
    held: usize,
    pipes: Pipes,
}

impl Borrowed {
    /// Bytes in it.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes at most `most` bytes from a socket. Only an empty pipe is filled:
    /// of another it could not be told whether it or the socket had no more.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when nothing has come.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<usize> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| self.held == 0) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let move_in = || Ok(splice(from, None, &pipe.write, None, most.min(PIPE_BYTES), FLAGS)?);
        self.held = from.try_io(Interest::READABLE, move_in)?;
        Ok(self.held)
    }

    /// Hands on what the socket takes of it now.
    ///
    /// # Errors
    /// The system's; that it takes nothing is none.
    pub(crate) fn drain(&mut self, to: &TcpStream) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        while self.held > 0 {
            let move_out = || Ok(splice(&pipe.read, None, to, None, self.held, FLAGS)?);
            match to.try_io(Interest::WRITABLE, move_out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.held = self.held.saturating_sub(n),
                Err(error) if super::retry(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Shelf { idle, left } = self.pipes.0.as_ref();
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        // One with bytes in it would hand them to somebody else.
        if self.held == 0 && idle.len() < MOST_IDLE {
            idle.extend(self.pipe.take());
        }
        left.fetch_add(1, Ordering::Relaxed);
    }
}
