//! The folder of endpoints, from the side that writes it: `UID.json` a pod, under
//! a hidden name first.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{FinderError, book::Book};
use crate::node;

/// What ends the names of files.
const EXTENSION: &str = "json";

/// Exists once the agent's pods are in the folder.
const LISTED: &str = ".listed";

/// Where an endpoint keeps its last good policy.
const SNAPSHOT: &str = "REMORA_SNAPSHOT";

/// The folder, and what is written into every file.
#[derive(Debug)]
pub(super) struct Folder {
    into: PathBuf,
    snapshots: Option<PathBuf>,
    /// How the node's proxy reaches the agent.
    own: BTreeMap<String, String>,
    /// The files that there are, by uid.
    files: BTreeMap<String, Vec<u8>>,
}

/// Whether the finder of this folder has been told of all that there is.
pub(super) fn is_listed(into: &Path) -> bool {
    into.join(LISTED).exists()
}

impl Folder {
    /// The folder, which is made if it is missing, with the files of an earlier run.
    ///
    /// # Errors
    /// [`FinderError::Folder`]
    pub(super) fn open(
        into: PathBuf,
        snapshots: Option<PathBuf>,
        own: BTreeMap<String, String>,
    ) -> Result<Self, FinderError> {
        for path in [Some(&into), snapshots.as_ref()].into_iter().flatten() {
            fs::create_dir_all(path).map_err(failed(path))?;
        }
        let mut folder = Self { into, snapshots, own, files: BTreeMap::new() };
        folder.discard(LISTED)?;
        for entry in fs::read_dir(&folder.into).map_err(failed(&folder.into))? {
            let path = entry.map_err(failed(&folder.into))?.path();
            let Some(uid) =
                named(&path).filter(|_| path.extension() == Some(OsStr::new(EXTENSION)))
            else {
                continue;
            };
            let text = fs::read(&path).map_err(failed(&path))?;
            folder.files.insert(uid.to_owned(), text);
        }
        Ok(folder)
    }

    /// The variables that the agent has given each pod of an earlier run.
    pub(super) fn earlier(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let read = |(uid, text): (&String, &Vec<u8>)| {
            let file: node::File = serde_json::from_slice(text).ok()?;
            let is_told = |name: &String| name != SNAPSHOT && !self.own.contains_key(name);
            let told = file.variables.into_iter().filter(|(name, _)| is_told(name));
            Some((uid.clone(), told.collect()))
        };
        self.files.iter().filter_map(read).collect()
    }

    /// Says where a pod's network is, and by which number it is known. Whether
    /// that is something else than before.
    ///
    /// # Errors
    /// [`FinderError::Folder`]
    pub(super) fn put(
        &mut self,
        uid: &str,
        (network, inode): (&Path, u64),
        variables: &BTreeMap<String, String>,
    ) -> Result<bool, FinderError> {
        let mut variables = variables.clone();
        variables.remove(SNAPSHOT);
        variables.extend(self.own.clone());
        if let Some(snapshots) = &self.snapshots {
            variables.insert(SNAPSHOT.to_owned(), snapshots.join(uid).display().to_string());
        }
        let file = node::File { network: network.to_owned(), inode: Some(inode), variables };
        let path = self.path(uid);
        let text = serde_json::to_vec(&file).map_err(|error| failed(&path)(error.into()))?;
        if self.files.get(uid) == Some(&text) {
            return Ok(false);
        }
        let hidden = self.into.join(format!(".{uid}"));
        fs::write(&hidden, &text)
            .and_then(|()| fs::rename(&hidden, &path))
            .map_err(failed(&path))?;
        self.files.insert(uid.to_owned(), text);
        Ok(true)
    }

    /// Says that a pod is not to be served.
    ///
    /// # Errors
    /// [`FinderError::Folder`]
    pub(super) fn remove(&mut self, uid: &str) -> Result<(), FinderError> {
        if self.files.contains_key(uid) {
            self.discard(&format!("{uid}.{EXTENSION}"))?;
            self.files.remove(uid);
        }
        Ok(())
    }

    /// Removes the files of all others.
    ///
    /// # Errors
    /// [`FinderError::Folder`]
    pub(super) fn keep_only(&mut self, book: &Book) -> Result<(), FinderError> {
        let others = self.files.keys().filter(|uid| !book.has(uid));
        let others: Vec<String> = others.cloned().collect();
        others.iter().try_for_each(|uid| self.remove(uid))
    }

    /// Notes that these are all pods of the agent, and forgets the policies that
    /// others have kept.
    ///
    /// # Errors
    /// [`FinderError::Folder`]
    pub(super) fn listed(&self, book: &Book) -> Result<(), FinderError> {
        if let Some(snapshots) = &self.snapshots {
            for entry in fs::read_dir(snapshots).map_err(failed(snapshots))? {
                let path = entry.map_err(failed(snapshots))?.path();
                if named(&path).is_none_or(|uid| !book.has(uid)) {
                    removed(fs::remove_file(&path)).map_err(failed(&path))?;
                }
            }
        }
        let path = self.into.join(LISTED);
        fs::write(&path, "").map_err(failed(&path))
    }

    fn discard(&self, name: &str) -> Result<(), FinderError> {
        let path = self.into.join(name);
        removed(fs::remove_file(&path)).map_err(failed(&path))
    }

    fn path(&self, uid: &str) -> PathBuf {
        self.into.join(format!("{uid}.{EXTENSION}"))
    }
}

/// Whose a file is.
fn named(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

/// One that is not there is removed, too.
fn removed(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FinderError {
    let path = path.to_owned();
    |error| FinderError::Folder { path, error }
}
