//! The access log: one record for each request and for each connection that
//! was denied or broke.
//!
//! Records are written by a thread of their own, so that a slow reader stops
//! nobody's traffic: past [`MAX_QUEUED_BYTES`] further ones are counted, and so
//! are those of a flood. Both counts are logged. Values that clients choose are
//! shown as hashes, but for the fields that somebody has asked for.

mod cilium;
mod digits;
mod escape;
mod event;
mod hidden;
mod queue;
mod text;
mod time;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    thread,
    time::SystemTime,
};

use remora_parsers::Registry;

use self::{
    event::Of,
    hidden::Hidden,
    queue::{Flood, Queue, Writer},
};
pub(crate) use self::{
    event::{Event, Flow, Outcome, quote},
    queue::Recorded,
};
pub use self::{
    event::{MAX_VALUE_BYTES, MAX_VALUES},
    queue::MAX_QUEUED_BYTES,
};
use crate::config::Pod;

/// The writing thread needs next to no stack.
const STACK_BYTES: usize = 128 << 10;

/// Takes whole lines, each with its end.
pub type Sink = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// How records look and what they show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How a record is written.
    pub format: Format,
    /// Fields whose values are shown as they are, beside those whose values
    /// are words of the protocol; `*` is all of them.
    pub shown: Vec<String>,
    /// The most records a second; a tenth of them is for what did not pass.
    pub rate: u64,
    /// A unix socket (SOCK_SEQPACKET) that is sent each record as a `LogEntry`
    /// of Cilium's.
    pub socket: Option<PathBuf>,
}

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A line of JSON.
    Json,
    /// A line for people.
    Text,
}

/// The most records a second that are logged where nobody asks for less.
pub const RATE: u64 = 10_000;

impl Default for Options {
    fn default() -> Self {
        Self { format: Format::Json, shown: Vec::new(), rate: RATE, socket: None }
    }
}

/// The sink of a sidecar in production.
#[must_use]
pub fn stdout() -> Sink {
    Box::new(|lines| {
        let mut out = io::stdout().lock();
        out.write_all(lines.as_bytes())?;
        out.flush()
    })
}

/// The writing thread, for one pod or for all of a node's. It ends when nobody
/// holds this any more.
#[derive(Debug)]
pub(crate) struct Clerk {
    sends_entries: bool,
    queue: Arc<Queue>,
}

/// Where the data path leaves its events.
#[derive(Debug)]
pub(crate) struct AccessLog {
    of: Of,
    format: Format,
    hidden: Hidden,
    flood: Flood,
    clerk: Arc<Clerk>,
}

impl Clerk {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, when there can be no thread.
    pub(crate) fn start(options: &Options, sink: Sink) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Queue::new());
        let socket = options.socket.clone().map(cilium::Socket::new);
        let writer = Writer::new(sink, socket, options.format, Arc::clone(&queue));
        thread::Builder::new()
            .name("access-log".into())
            .stack_size(STACK_BYTES)
            .spawn(move || writer.run())?;
        Ok(Arc::new(Self { sends_entries: options.socket.is_some(), queue }))
    }

    /// Waits until what was logged so far is written, but not for ever.
    pub(crate) async fn flush(&self) {
        self.queue.flush().await;
    }
}

impl AccessLog {
    /// A pod's, written by this thread.
    pub(crate) fn new(
        clerk: &Arc<Clerk>,
        pod: &Pod,
        options: &Options,
        registry: Registry,
    ) -> Self {
        Self {
            of: Of::pod(pod),
            format: options.format,
            hidden: Hidden::new(registry, &options.shown),
            flood: Flood::new(options.rate),
            clerk: Arc::clone(clerk),
        }
    }

    /// Logs one event, or counts it; says which. Never waits.
    pub(crate) fn record(&self, event: &Event<'_>) -> Recorded {
        let now = SystemTime::now();
        self.clerk.queue.record(now, event.outcome, &self.flood, |lines, entries| {
            match self.format {
                Format::Json => event.json(lines, &self.of, &self.hidden, now),
                Format::Text => event.text(lines, &self.hidden, now),
            }
            lines.push('\n');
            if self.clerk.sends_entries {
                cilium::encode(event, &self.hidden, now, entries);
            }
        })
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests;
