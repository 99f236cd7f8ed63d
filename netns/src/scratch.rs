//! The work directory of a node, and the removal of those whose owner died.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt;

use tempfile::TempDir;

use crate::{Error, Result};

const PREFIX: &str = "remora-node-";

/// A directory that goes away with its owner. A janitor process removes it if
/// the owner is killed; should that be killed as well, the next owner sweeps.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    janitor: Child,
}

impl Scratch {
    pub(crate) fn new(shim: &Path) -> Result<Self> {
        sweep(&std::env::temp_dir());
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .map_err(Error::io("make a work directory"))?;
        let janitor = Command::new(shim)
            .arg("janitor")
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io(format!("run {}", shim.display())))?;
        Ok(Self { directory, janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a directory below, with its parents.
    pub(crate) fn make_dir(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).map_err(Error::io(format!("make {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

/// Removes work directories whose owner is dead. What cannot be removed is
/// left: it is in nobody's way.
fn sweep(temp: &Path) {
    for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(owner.to_string()).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
