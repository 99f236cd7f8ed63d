//! One file: looking at it without being fooled, and what it held when it was good.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};

use super::documents::{Unusable, documents};
use super::rescue::Scope;
use super::{Document, Unreadable};
use crate::notice::{Notice, Severity};

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    size: u64,
    /// Seconds and nanoseconds. The inode's change time, unlike the
    /// modification time, cannot be set by whoever copies files.
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            size: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether the last change was less than `age` ago. A clock that was set
    /// back makes no file young.
    fn is_younger_than(self, age: Duration) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since_epoch = u64::try_from(seconds).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH
            + Duration::from_secs(since_epoch)
            + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
        SystemTime::now().duration_since(changed).is_ok_and(|passed| passed < age)
    }
}

/// What a look at a file gave.
pub(super) enum Found {
    /// It is as it was.
    Unchanged,
    /// Nothing that could be a manifest: a folder, or it vanished.
    Nothing,
    /// It may be changing right now.
    Unsettled,
    Bytes(Stamp, Vec<u8>),
    Unreadable(io::Error),
}

/// Looks at a file, and reads it if its stamp is not `known`.
pub(super) fn look(path: &Path, known: Option<Stamp>, settled_after: Duration) -> Found {
    read_settled(path, known, settled_after).unwrap_or_else(|error| {
        let vanished = error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err();
        if vanished { Found::Nothing } else { Found::Unreadable(error) }
    })
}

fn read_settled(path: &Path, known: Option<Stamp>, settled_after: Duration) -> io::Result<Found> {
    // Without NONBLOCK a FIFO would hold everybody up.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Found::Nothing);
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let before = Stamp::of(&metadata);
    if known == Some(before) {
        return Ok(Found::Unchanged);
    }
    if before.is_younger_than(settled_after) {
        return Ok(Found::Unsettled);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(remora_manifest::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    (&mut file).take(limit).read_to_end(&mut bytes)?;
    let is_stable = Stamp::of(&file.metadata()?) == before;
    Ok(if is_stable { Found::Bytes(before, bytes) } else { Found::Unsettled })
}

/// What a file turned out to hold.
pub(super) struct Outcome {
    stamp: Option<Stamp>,
    bytes: Vec<u8>,
    result: Result<Vec<Arc<remora_manifest::Node>>, Unusable>,
    scope: Scope,
}

impl Outcome {
    pub(super) fn new(stamp: Option<Stamp>, bytes: Vec<u8>, path: &Path) -> Self {
        let result = documents(&bytes, path).map(|nodes| nodes.into_iter().map(Arc::new).collect());
        let scope = match &result {
            Ok(_) => Scope::Nothing,
            Err(_) => Scope::of(&String::from_utf8_lossy(&bytes)),
        };
        Self { stamp, bytes, result, scope }
    }

    fn failed(path: &Path, problem: &str, scope: Scope) -> Self {
        let text = format!("{}:1: {problem}", path.display());
        let result = Err(Unusable { line: 1, text });
        Self { stamp: None, bytes: Vec::new(), result, scope }
    }
}

/// The outcome for a file whose bytes cannot be had. It may hold anything.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Outcome {
    let scope = match error.kind() {
        // A link that leads nowhere: there is no text.
        io::ErrorKind::NotFound => Scope::Nothing,
        _ => Scope::Namespaces(BTreeSet::from(["default".to_owned()])),
    };
    let problem = format!("cannot be read: {error}; make it a readable file or remove it");
    Outcome::failed(path, &problem, scope)
}

/// The outcome for a file that was being written all through the agent's start.
pub(super) fn unfinished(path: &Path) -> Outcome {
    let scope = match look(path, None, Duration::ZERO) {
        Found::Bytes(_, bytes) => Scope::of(&String::from_utf8_lossy(&bytes)),
        _ => Scope::Nothing,
    };
    Outcome::failed(path, "is being written while the agent starts; close it", scope)
}

/// A file that is known.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: Arc<Path>,
    /// How it was when it was last read; none if it must be read again.
    pub(super) stamp: Option<Stamp>,
    pub(super) missing_since: Option<std::time::Instant>,
    /// Its last good documents or, while it never had any, why.
    pub(super) contents: Result<Vec<Document>, Unreadable>,
    /// What was last read, good or bad.
    read: Vec<u8>,
    /// What is wrong with it now.
    error: Option<String>,
    inode: Option<(u64, u64)>,
}

impl File {
    pub(super) fn new(path: Arc<Path>, outcome: Outcome, revision: u64) -> (Self, Option<Notice>) {
        let empty = Unreadable {
            file: Arc::clone(&path),
            line: 1,
            error: String::new(),
            scope: Scope::Nothing,
        };
        let mut file = Self {
            path,
            stamp: None,
            missing_since: None,
            contents: Err(empty),
            read: Vec::new(),
            error: None,
            inode: None,
        };
        let notice = file.take(outcome, revision);
        (file, notice)
    }

    /// Takes a new reading; says whether it made a difference.
    pub(super) fn update(&mut self, outcome: Outcome, revision: u64) -> (bool, Option<Notice>) {
        let error = outcome.result.as_ref().err().map(|unusable| &unusable.text);
        if outcome.bytes == self.read && error == self.error.as_ref() {
            self.stamp = outcome.stamp;
            self.inode = outcome.stamp.map(|stamp| stamp.inode);
            return (false, None);
        }
        let stays = outcome.result.is_err() && self.contents.is_ok();
        (!stays, self.take(outcome, revision))
    }

    /// Whether it stands under another name now.
    pub(super) fn was_renamed(&self, inodes: &BTreeSet<(u64, u64)>) -> bool {
        self.inode.is_some_and(|own| inodes.contains(&own))
    }

    fn take(&mut self, outcome: Outcome, revision: u64) -> Option<Notice> {
        self.stamp = outcome.stamp;
        self.inode = outcome.stamp.map(|stamp| stamp.inode);
        self.read = outcome.bytes;
        self.error = None;
        let unusable = match outcome.result {
            Ok(nodes) => {
                let document = |(index, node)| Document { revision, index, node };
                self.contents = Ok(nodes.into_iter().enumerate().map(document).collect());
                return None;
            }
            Err(unusable) => unusable,
        };
        self.error = Some(unusable.text.clone());
        let consequence = match &mut self.contents {
            Ok(documents) => format!("its last good {} document(s) stay in force", documents.len()),
            Err(unreadable) => {
                unreadable.line = unusable.line;
                unreadable.error.clone_from(&unusable.text);
                unreadable.scope = outcome.scope;
                unreadable.scope.to_string()
            }
        };
        let text = format!("{}: {consequence}", unusable.text);
        Some(Notice::new(Severity::Error, revision, text))
    }
}
