//! The folder of endpoints: a file for each pod, whose name ends in `.json`.
//! Whoever writes one writes it under another name and renames it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
};
use tokio::io::{Interest, unix::AsyncFd};

/// The most bytes of a file: more than the variables of any pod have.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// A file that was changed so recently may change again without looking newer.
const SETTLED: Duration = Duration::from_secs(1);

/// What ends the names of files that count.
const EXTENSION: &str = "json";

/// The texts of files, by their names.
pub(super) type Files = BTreeMap<OsString, Arc<[u8]>>;

/// A folder, and who tells of its changes.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    changes: AsyncFd<OwnedFd>,
    /// What was read, and when what it was read from was made.
    known: BTreeMap<OsString, (Option<Stamp>, Arc<[u8]>)>,
}

/// By what a file that has changed is told from one that has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: SystemTime,
    size: u64,
}

impl Stamp {
    /// That of a file that has been as it is for a while.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let data = fs::metadata(path)?;
        let modified = data.modified()?;
        let is_settled = modified.elapsed().is_ok_and(|age| age > SETTLED);
        let stamp = Self { inode: data.ino(), modified, size: data.size() };
        Ok(is_settled.then_some(stamp))
    }
}

impl Folder {
    /// Hears of every change from here on.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn watch(path: &Path) -> io::Result<Self> {
        let changes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let kinds = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        inotify::add_watch(&changes, path, kinds | WatchFlags::ONLYDIR)?;
        #[expect(deprecated, reason = "unsound only for a descriptor that another closes")]
        let changes = AsyncFd::with_interest(changes, Interest::READABLE)?;
        Ok(Self { path: path.to_owned(), changes, known: BTreeMap::new() })
    }

    /// What the files hold now. One that cannot be read, or is too large, is
    /// told of and left out: its pod is closed.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub(super) fn read(&mut self) -> io::Result<Files> {
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let Some(name) = path.file_name().map(OsString::from) else { continue };
            if path.extension().is_none_or(|end| end != EXTENSION) || is_hidden(&name) {
                continue;
            }
            match self.text(&name, &path) {
                Ok(text) => drop(known.insert(name, text)),
                // It has gone since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!(%error, file = %path.display(), "an endpoint cannot be read");
                }
            }
        }
        self.known = known;
        let text = |(name, (_, text)): (&OsString, &(_, Arc<_>))| (name.clone(), Arc::clone(text));
        Ok(self.known.iter().map(text).collect())
    }

    /// A file's text, which is only read if it is new.
    fn text(&self, name: &OsString, path: &Path) -> io::Result<(Option<Stamp>, Arc<[u8]>)> {
        let stamp = Stamp::of(path)?;
        match self.known.get(name) {
            Some((before, text)) if stamp.is_some() && *before == stamp => {
                Ok((stamp, Arc::clone(text)))
            }
            _ => Ok((stamp, whole(path)?.into())),
        }
    }

    /// Waits until anything has changed since this was last asked.
    ///
    /// # Errors
    /// The system's.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        let mut ready = self.changes.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(ready.get_inner(), &mut buffer);
        loop {
            match events.next() {
                // Which ones does not matter: the folder is read anew.
                Ok(_) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

fn is_hidden(name: &OsString) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

fn whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    fn names(folder: &mut Folder) -> Vec<String> {
        let files = folder.read().unwrap();
        files.into_keys().map(|name| name.into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_there_and_what_changes_is_told() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.json"), "{}").unwrap();
        let mut folder = Folder::watch(dir.path()).unwrap();
        assert_eq!(names(&mut folder), ["a.json"]);
        let changed = async |folder: &mut Folder| {
            timeout(Duration::from_secs(20), folder.changed()).await.unwrap().unwrap();
        };
        fs::write(at(".b.json"), "{}").unwrap();
        fs::write(at("b.json.tmp"), "{}").unwrap();
        assert_eq!(names(&mut folder), ["a.json"], "what is not there yet is not read");
        changed(&mut folder).await;
        fs::rename(at(".b.json"), at("b.json")).unwrap();
        changed(&mut folder).await;
        assert_eq!(names(&mut folder), ["a.json", "b.json"]);
        fs::write(at("a.json"), "[]").unwrap();
        changed(&mut folder).await;
        let text = folder.read().unwrap().into_values().next().unwrap();
        assert_eq!(*text, *b"[]", "as long as before, and another");
        fs::remove_file(at("a.json")).unwrap();
        changed(&mut folder).await;
        assert_eq!(names(&mut folder), ["b.json"]);
        fs::remove_dir_all(dir.path()).unwrap();
        changed(&mut folder).await;
        assert!(folder.read().is_err(), "without its folder it cannot go on");
    }

    #[tokio::test]
    async fn a_file_is_read_up_to_its_cap_and_not_beyond() {
        let dir = TempDir::new().unwrap();
        let mut folder = Folder::watch(dir.path()).unwrap();
        let size = usize::try_from(MAX_BYTES).unwrap();
        fs::write(dir.path().join("most.json"), vec![b' '; size]).unwrap();
        fs::write(dir.path().join("more.json"), vec![b' '; size + 1]).unwrap();
        assert_eq!(names(&mut folder), ["most.json"]);
    }
}
