//! The access log: one line of JSON for each request and for each connection
//! that was denied or broke.
//!
//! Lines are written by a thread of their own, so that a slow reader stops
//! nobody's traffic: past [`MAX_QUEUED_BYTES`] of waiting lines further ones
//! are counted, and the count is logged once the reader is back.

mod escape;
mod event;
mod time;

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime},
};

use tokio::sync::oneshot;

pub(crate) use event::{Event, Flow, Outcome, quote};
pub use event::{MAX_VALUE_BYTES, MAX_VALUES, fields};

use crate::config::Pod;

/// The most bytes of lines that wait for a slow reader.
pub const MAX_QUEUED_BYTES: usize = 1 << 20;

/// How long a stopping sidecar waits for the reader to take the last lines.
const FLUSH: Duration = Duration::from_secs(1);

/// The writing thread needs next to no stack.
const STACK_BYTES: usize = 128 << 10;

/// Takes one line, without its end.
pub type Sink = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// The sink of a sidecar in production.
#[must_use]
pub fn stdout() -> Sink {
    Box::new(|line| {
        let mut out = io::stdout().lock();
        out.write_all(format!("{line}\n").as_bytes())?;
        out.flush()
    })
}

/// Where the data path leaves its events.
#[derive(Debug)]
pub(crate) struct AccessLog {
    pod: Pod,
    lines: mpsc::Sender<Message>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

enum Message {
    Line(String),
    Flush(oneshot::Sender<()>),
}

impl AccessLog {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// The system's, when there can be no thread.
    pub(crate) fn start(pod: Pod, sink: Sink) -> io::Result<Self> {
        let (lines, waiting) = mpsc::channel();
        let queue = Arc::new(Queue::default());
        let writer = Writer { sink, queue: Arc::clone(&queue) };
        thread::Builder::new()
            .name("access-log".into())
            .stack_size(STACK_BYTES)
            .spawn(move || writer.run(&waiting))?;
        Ok(Self { pod, lines, queue })
    }

    /// Logs one event, or counts it as lost; returns whether it had room.
    /// Never waits.
    pub(crate) fn record(&self, event: &Event<'_>) -> bool {
        let line = event.line(&self.pod, SystemTime::now());
        let size = line.len();
        let before = self.queue.bytes.fetch_add(size, Ordering::Relaxed);
        let room = before.saturating_add(size) <= MAX_QUEUED_BYTES;
        let taken = room && self.lines.send(Message::Line(line)).is_ok();
        if !taken {
            self.queue.bytes.fetch_sub(size, Ordering::Relaxed);
            self.queue.lost.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Waits until what was logged so far is written, but not for ever.
    pub(crate) async fn flush(&self) {
        let (written, done) = oneshot::channel();
        if self.lines.send(Message::Flush(written)).is_ok() {
            // Either way there is nothing more to be done.
            let _ = tokio::time::timeout(FLUSH, done).await;
        }
    }
}

struct Writer {
    sink: Sink,
    queue: Arc<Queue>,
}

impl Writer {
    fn run(mut self, waiting: &mpsc::Receiver<Message>) {
        while let Ok(message) = waiting.recv() {
            match message {
                Message::Line(line) => {
                    self.queue.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                    if let Err(error) = (self.sink)(&line) {
                        tracing::warn!(%error, "the access log cannot be written");
                    }
                    self.confess();
                }
                Message::Flush(written) => _ = written.send(()),
            }
        }
    }

    /// Says how many records were lost since it was last said.
    fn confess(&mut self) {
        let lost = self.queue.lost.swap(0, Ordering::Relaxed);
        if lost == 0 {
            return;
        }
        let line = format!(
            "{{\"time\":\"{}\",\"verdict\":\"ERROR\",\"error\":\"log-lost\",\"lost\":{lost},\
             \"reason\":\"the access log is read too slowly: {lost} records are lost\"}}",
            time::rfc3339(SystemTime::now())
        );
        if (self.sink)(&line).is_err() {
            self.queue.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
