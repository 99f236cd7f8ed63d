//! A directory of manifests, and the last good documents of each of its files.
//!
//! Any `*.yaml`, `*.yml` or `*.json` that is no dotfile counts. A file that is
//! being written is left alone until it is closed; one that is empty or cannot
//! be read keeps its last good documents; one that never was good closes what
//! it may have been meant to close. Only deletion withdraws documents.

mod documents;
mod file;
mod rescue;
#[cfg(test)]
mod tests;
mod watch;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use remora_manifest::Node;

use self::file::{File, Found, look};
use self::writers::Writers;
use crate::notice::{Notice, Severity};

pub use self::rescue::Scope;
pub(crate) use self::watch::Watch;

/// How long a file must have been missing before it counts as deleted: an
/// editor may remove it first and create it anew.
const GRACE: Duration = Duration::from_millis(100);

/// One document of a manifest.
#[derive(Clone, Debug)]
pub struct Document {
    /// Which reading of its file it is from: never the same for two texts.
    pub revision: u64,
    /// Its place among the file's documents, from 0.
    pub index: usize,
    /// What it says; its location names the file.
    pub node: Arc<Node>,
}

/// A file that cannot be read and never could.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// The file.
    pub file: Arc<Path>,
    /// The line of the error, from 1.
    pub line: u32,
    /// What is wrong and what to do about it.
    pub error: String,
    /// What it closes.
    pub scope: Scope,
}

/// What all files of a directory say together, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The last good documents of every file.
    pub documents: Vec<Document>,
    /// The files that have none.
    pub unreadable: Vec<Unreadable>,
}

/// The files of a directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    files: BTreeMap<OsString, File>,
    revision: u64,
}

/// How a scan looks at the files.
pub(crate) struct Pass<'a> {
    pub(crate) writers: &'a Writers,
    pub(crate) now: Instant,
    /// A file that was changed more recently than this may be changing still.
    pub(crate) settled_after: Duration,
    /// Give up waiting: what cannot be read yet counts as broken.
    pub(crate) force: bool,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Whether [`Directory::manifests`] says something new.
    pub(crate) changed: bool,
    /// Whether some file was left for a later scan.
    pub(crate) unsettled: bool,
    /// Whether some file was left until its writer closes it.
    pub(crate) busy: bool,
    /// What a person should read.
    pub(crate) notices: Vec<Notice>,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, files: BTreeMap::new(), revision: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Has this file read again by the next scan, whatever its time stamps say.
    pub(crate) fn touch(&mut self, name: &OsStr) {
        if let Some(file) = self.files.get_mut(name) {
            file.stamp = None;
        }
    }

    /// Has every file read again by the next scan.
    pub(crate) fn touch_all(&mut self) {
        self.files.values_mut().for_each(|file| file.stamp = None);
    }

    /// Whether a file of this name is known.
    pub(crate) fn knows(&self, name: &OsStr) -> bool {
        self.files.contains_key(name)
    }

    /// Reads what changed.
    ///
    /// # Errors
    /// The directory cannot be listed. Everything stays as it was.
    pub(crate) fn scan(&mut self, pass: &Pass<'_>) -> io::Result<Scan> {
        let listing = self.list()?;
        let mut scan = Scan::default();
        self.withdraw(&listing, pass.now, &mut scan);
        for name in listing.names {
            self.read(name, pass, &mut scan);
        }
        Ok(scan)
    }

    /// What all files say.
    pub(crate) fn manifests(&self) -> Manifests {
        let mut manifests = Manifests::default();
        for file in self.files.values() {
            match &file.contents {
                Ok(documents) => manifests.documents.extend(documents.iter().cloned()),
                Err(unreadable) => manifests.unreadable.push(unreadable.clone()),
            }
        }
        manifests
    }

    fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in self.path.read_dir()? {
            let entry = entry?;
            if is_manifest(&entry.file_name()) {
                listing.inodes.extend(entry.metadata().map(|found| (found.dev(), found.ino())));
                listing.names.insert(entry.file_name());
            }
        }
        Ok(listing)
    }

    /// Withdraws files that are gone for good.
    fn withdraw(&mut self, listing: &Listing, now: Instant, scan: &mut Scan) {
        self.files.retain(|name, file| {
            // A listing that runs beside a rename may miss the name: only its own absence counts.
            let is_there =
                listing.names.contains(name) || self.path.join(name).symlink_metadata().is_ok();
            if is_there {
                file.missing_since = None;
                return true;
            }
            let since = *file.missing_since.get_or_insert(now);
            if now.duration_since(since) < GRACE && !file.was_renamed(&listing.inodes) {
                scan.unsettled = true;
                return true;
            }
            let text = format!("{}: is gone; what it held is withdrawn", file.path.display());
            scan.notices.push(Notice::new(Severity::Info, 0, text));
            scan.changed = true;
            false
        });
    }

    /// Reads one file, unless it is being written or is what it was.
    fn read(&mut self, name: OsString, pass: &Pass<'_>, scan: &mut Scan) {
        let path = self.path.join(&name);
        let known = self.files.get(&name).and_then(|file| file.stamp);
        let is_busy = pass.writers.is_busy(&name, pass.now);
        let found = if is_busy { Found::Unsettled } else { look(&path, known, pass.settled_after) };
        scan.busy |= is_busy;
        scan.unsettled |= !is_busy && matches!(found, Found::Unsettled);
        let outcome = match found {
            Found::Unchanged | Found::Nothing => return,
            Found::Unsettled if !pass.force || self.knows(&name) => return,
            Found::Unsettled => file::unfinished(&path),
            Found::Bytes(stamp, bytes) => file::Outcome::new(Some(stamp), bytes, &path),
            Found::Unreadable(error) => file::unreadable(&path, &error),
        };
        self.revision += 1;
        let revision = self.revision;
        let (changed, notice) = match self.files.get_mut(&name) {
            Some(file) => file.update(outcome, revision),
            None => {
                let (file, notice) = File::new(path.into(), outcome, revision);
                self.files.insert(name, file);
                (true, notice)
            }
        };
        scan.changed |= changed;
        scan.notices.extend(notice);
    }
}

/// The manifests that a directory has.
#[derive(Debug, Default)]
struct Listing {
    names: BTreeSet<OsString>,
    /// Device and inode of each.
    inodes: BTreeSet<(u64, u64)>,
}

/// Whether a file of this name counts: no dotfile, no dropping of an editor.
fn is_manifest(name: &OsStr) -> bool {
    let extension = Path::new(name).extension();
    let is_known = extension.is_some_and(|own| own == "yaml" || own == "yml" || own == "json");
    is_known && !name.as_encoded_bytes().starts_with(b".")
}
