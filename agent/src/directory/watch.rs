//! The thread that watches a directory and says when its manifests changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::writers::{Observed, QUIET, Writers};
use super::{Directory, Manifests, Pass, Scan};

/// How long the directory must be quiet before it is read: edits come in bursts.
const DEBOUNCE: Duration = Duration::from_millis(30);
/// How long a burst may put reading off.
const DEBOUNCE_AT_MOST: Duration = Duration::from_millis(150);
/// How old a file's last change must be: more than the kernel's clock tick, so
/// that a later change shows in the time stamp.
const SETTLED: Duration = Duration::from_millis(20);
/// How long the first scan waits for files that are being written.
const START_PATIENCE: Duration = Duration::from_secs(1);
/// How long until a directory that cannot be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often to look though nothing was reported: a link's target and a network
/// file system change without a word.
const IDLE: Duration = Duration::from_secs(10);
/// Events that wait here. Beyond it the kernel's own queue fills, and when that
/// overflows we are told.
const EVENTS: usize = 1024;

/// A directory being watched, by a thread of its own.
#[derive(Debug)]
pub(crate) struct Watch {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
}

enum Message {
    Event(notify::Result<notify::Event>),
    Stop,
}

impl Watch {
    /// Watches `directory`. `changed` is called in the thread, first when every
    /// file has been read once, then with every change.
    ///
    /// # Errors
    /// The directory cannot be listed or watched.
    pub(crate) fn start(
        directory: &Path,
        changed: impl FnMut(Manifests) + Send + 'static,
    ) -> io::Result<Self> {
        // Listing comes first, for its errors say what is wrong with the path.
        drop(directory.read_dir()?);
        let (sender, events) = mpsc::sync_channel(EVENTS);
        let watcher = watch(directory, sender.clone()).map_err(io::Error::other)?;
        let eye = Eye::new(directory.to_owned(), sender.clone(), watcher, changed);
        let thread =
            thread::Builder::new().name("directory".to_owned()).spawn(move || eye.run(&events))?;
        Ok(Self { sender, thread })
    }

    /// Stops watching and waits for the thread.
    pub(crate) fn stop(self) {
        // A thread that has ended already has nothing to be told.
        let _ = self.sender.send(Message::Stop);
        let _ = self.thread.join();
    }
}

fn watch(directory: &Path, sender: SyncSender<Message>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event| {
        // Without a receiver nobody wants to know any more.
        let _ = sender.send(Message::Event(event));
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// What the thread knows.
struct Eye<F> {
    directory: Directory,
    writers: Writers,
    sender: SyncSender<Message>,
    /// None while the directory is gone.
    watcher: Option<RecommendedWatcher>,
    changed: F,
    /// When the first scan stops waiting for files that are being written.
    patient_until: Instant,
    is_published: bool,
    /// Events were lost: who is writing is not known, only who was lately.
    is_lost: bool,
    /// When to scan next, and since when somebody has been waiting for it.
    due: Option<Instant>,
    burst: Option<Instant>,
}

impl<F: FnMut(Manifests)> Eye<F> {
    fn new(
        directory: PathBuf,
        sender: SyncSender<Message>,
        watcher: RecommendedWatcher,
        changed: F,
    ) -> Self {
        let now = Instant::now();
        Self {
            directory: Directory::new(directory),
            writers: Writers::default(),
            sender,
            watcher: Some(watcher),
            changed,
            patient_until: now + START_PATIENCE,
            is_published: false,
            is_lost: false,
            due: Some(now),
            burst: None,
        }
    }

    fn run(mut self, events: &Receiver<Message>) {
        loop {
            let now = Instant::now();
            let wait = self.due.map(|due| due.saturating_duration_since(now));
            if wait == Some(Duration::ZERO) {
                self.scan(now);
                continue;
            }
            match events.recv_timeout(wait.unwrap_or(IDLE)) {
                Ok(Message::Event(event)) => self.observe(event),
                Err(RecvTimeoutError::Timeout) => self.due = Some(now),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn observe(&mut self, event: notify::Result<notify::Event>) {
        let now = Instant::now();
        let observed = match event {
            Ok(event) => self.writers.observe(self.directory.path(), &event, now),
            Err(error) => {
                tracing::warn!("{}: watching: {error}", self.directory.path().display());
                Observed::Lost
            }
        };
        match observed {
            Observed::Nothing => return,
            Observed::Touched(names) => names.iter().for_each(|name| self.directory.touch(name)),
            Observed::Lost => {
                self.is_lost = true;
                self.directory.touch_all();
            }
            Observed::Gone => self.watcher = None,
        }
        let burst = *self.burst.get_or_insert(now);
        self.due = Some((now + DEBOUNCE).min(burst + DEBOUNCE_AT_MOST));
    }

    fn scan(&mut self, now: Instant) {
        self.burst = None;
        match self.rewatch().and_then(|()| self.pass(now)) {
            Ok(scan) => self.report(&scan, now),
            Err(error) => self.gone(&error, now),
        }
    }

    /// Takes up a directory that has come back.
    fn rewatch(&mut self) -> io::Result<()> {
        if self.watcher.is_some() {
            return Ok(());
        }
        let path = self.directory.path();
        let watcher = watch(path, self.sender.clone()).map_err(io::Error::other)?;
        tracing::info!("{}: is there again", path.display());
        self.watcher = Some(watcher);
        self.is_lost = true;
        self.directory.touch_all();
        Ok(())
    }

    fn pass(&mut self, now: Instant) -> io::Result<Scan> {
        let pass = Pass {
            writers: &self.writers,
            now,
            settled_after: if self.is_lost { QUIET } else { SETTLED },
            force: !self.is_published && now >= self.patient_until,
        };
        self.directory.scan(&pass)
    }

    fn gone(&mut self, error: &io::Error, now: Instant) {
        if self.watcher.take().is_some() {
            let path = self.directory.path().display();
            tracing::error!(
                "{path}: {error}: everything stays in force as it was; bring the directory back"
            );
        }
        self.due = Some(now + RETRY);
    }

    fn report(&mut self, scan: &Scan, now: Instant) {
        scan.notices.iter().for_each(crate::Notice::log);
        for name in self.writers.overdue(now) {
            let path = self.directory.path().join(name);
            tracing::warn!(
                "{}: is held open by whoever writes it; it is read once it is closed",
                path.display()
            );
        }
        self.writers.retain(now, |name| self.directory.path().join(name).exists());
        self.is_lost &= scan.unsettled;
        let is_complete = !(scan.unsettled || scan.busy) || now >= self.patient_until;
        let is_news = if self.is_published { scan.changed } else { is_complete };
        if is_news {
            self.is_published = true;
            (self.changed)(self.directory.manifests());
        }
        let unsettled = scan.unsettled.then_some(now + SETTLED);
        let start = (!self.is_published).then_some(self.patient_until);
        self.due = [unsettled, start, self.writers.next()].into_iter().flatten().min();
    }
}
