//! Between the data path and the writing thread: two buffers that change
//! places, so that a record costs no allocation.

use std::{
    fmt::Write as _,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::oneshot;

use super::{Format, Outcome, Sink, cilium::Socket, time};

/// The most bytes of records that wait for a slow reader, beside those that it
/// is being given.
pub const MAX_QUEUED_BYTES: usize = 1 << 20;

/// A drained buffer of more than this is given back.
const KEPT_BYTES: usize = 64 << 10;

/// How long a stopping sidecar waits for the reader to take the last records.
const FLUSH: Duration = Duration::from_secs(1);

/// How often it is looked at what there is to confess, while there is anything.
const CONFESS: Duration = Duration::from_secs(1);

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Recorded {
    /// It will be written.
    Written,
    /// It is one of a flood.
    LeftOut,
    /// The reader is too slow.
    Lost,
}

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

#[derive(Debug)]
struct Waiting {
    lines: String,
    /// Entries for the socket, each after its length.
    entries: Vec<u8>,
    flushes: Vec<oneshot::Sender<()>>,
    closed: bool,
    lost: u64,
    left_out: u64,
    flood: Flood,
}

/// Counts the records of a second.
#[derive(Debug)]
struct Flood {
    rate: u64,
    /// Since 1970.
    second: u64,
    count: u64,
}

impl Flood {
    /// Whether there is room for one more in this second. What passed may use
    /// nine tenths of it, so that it does not hide what did not pass.
    fn admits(&mut self, now: SystemTime, outcome: Outcome) -> bool {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() {
            (self.second, self.count) = (since.as_secs(), 0);
        }
        let room = match outcome {
            Outcome::Forwarded => self.rate.saturating_sub(self.rate / 10),
            Outcome::Dropped | Outcome::Audit | Outcome::Error => self.rate,
        };
        let admitted = self.count < room;
        self.count = self.count.saturating_add(u64::from(admitted));
        admitted
    }
}

impl Queue {
    pub(super) fn new(rate: u64) -> Self {
        let waiting = Waiting {
            lines: String::new(),
            entries: Vec::new(),
            flushes: Vec::new(),
            closed: false,
            lost: 0,
            left_out: 0,
            flood: Flood { rate, second: 0, count: 0 },
        };
        Self { waiting: Mutex::new(waiting), woken: Condvar::new() }
    }

    /// Has `write` append a record, if there is room.
    pub(super) fn record(
        &self,
        now: SystemTime,
        outcome: Outcome,
        write: impl FnOnce(&mut String, &mut Vec<u8>),
    ) -> Recorded {
        let mut waiting = self.lock();
        let Waiting { lines, entries, lost, left_out, flood, .. } = &mut *waiting;
        if !flood.admits(now, outcome) {
            *left_out = left_out.saturating_add(1);
            return Recorded::LeftOut;
        }
        let before = (lines.len(), entries.len());
        write(lines, entries);
        let recorded = if lines.len() > MAX_QUEUED_BYTES {
            lines.truncate(before.0);
            entries.truncate(before.1);
            *lost = lost.saturating_add(1);
            Recorded::Lost
        } else {
            if entries.len() > MAX_QUEUED_BYTES {
                entries.truncate(before.1);
            }
            Recorded::Written
        };
        drop(waiting);
        self.woken.notify_one();
        recorded
    }

    pub(super) async fn flush(&self) {
        let (written, done) = oneshot::channel();
        self.lock().flushes.push(written);
        self.woken.notify_one();
        // Either way there is nothing more to be done.
        let _ = tokio::time::timeout(FLUSH, done).await;
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.woken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what waits into buffers that are empty, once there is anything.
    fn take(&self, lines: &mut String, entries: &mut Vec<u8>) -> Taken {
        let nothing = |waiting: &mut Waiting| {
            waiting.lines.is_empty() && waiting.flushes.is_empty() && !waiting.closed
        };
        let mut waiting = self.lock();
        if waiting.left_out > 0 || waiting.lost > 0 {
            let woken = self.woken.wait_timeout_while(waiting, CONFESS, nothing);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        } else {
            let woken = self.woken.wait_while(waiting, nothing);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(lines, &mut waiting.lines);
        mem::swap(entries, &mut waiting.entries);
        Taken {
            flushes: mem::take(&mut waiting.flushes),
            lost: mem::take(&mut waiting.lost),
            left_out: mem::take(&mut waiting.left_out),
            closed: waiting.closed,
        }
    }
}

struct Taken {
    flushes: Vec<oneshot::Sender<()>>,
    lost: u64,
    left_out: u64,
    closed: bool,
}

/// The writing thread.
pub(super) struct Writer {
    sink: Sink,
    socket: Option<Socket>,
    format: Format,
    queue: Arc<Queue>,
}

impl Writer {
    pub(super) fn new(
        sink: Sink,
        socket: Option<Socket>,
        format: Format,
        queue: Arc<Queue>,
    ) -> Self {
        Self { sink, socket, format, queue }
    }

    /// Writes until the log is closed.
    pub(super) fn run(mut self) {
        let (mut lines, mut entries) = (String::new(), Vec::new());
        loop {
            let taken = self.queue.take(&mut lines, &mut entries);
            self.confess(&mut lines, "log-lost", "lost", taken.lost);
            self.confess(&mut lines, "log-flood", "left_out", taken.left_out);
            if !lines.is_empty()
                && let Err(error) = (self.sink)(&lines)
            {
                tracing::warn!(%error, "the access log cannot be written");
            }
            if let Some(socket) = &mut self.socket {
                socket.send(&entries);
            }
            // What a burst has made of them is given back.
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            entries.clear();
            entries.shrink_to(KEPT_BYTES);
            for flushed in taken.flushes {
                let _ = flushed.send(());
            }
            if taken.closed {
                return;
            }
        }
    }

    /// Says how many records are missing since it was last said.
    fn confess(&self, lines: &mut String, error: &str, name: &str, count: u64) {
        if count == 0 {
            return;
        }
        let why = match name {
            "lost" => "the access log is read too slowly",
            _ => "there were more records than are logged in a second",
        };
        let now = time::Rfc3339(SystemTime::now());
        // Writing to a String cannot fail.
        let _ = match self.format {
            Format::Json => writeln!(
                lines,
                "{{\"time\":\"{now}\",\"verdict\":\"ERROR\",\"error\":\"{error}\",\
                 \"{name}\":{count},\"reason\":\"{why}: {count} are missing\"}}"
            ),
            Format::Text => {
                writeln!(lines, "{now} ERROR error={error} {name}={count} reason=\"{why}\"")
            }
        };
    }
}
