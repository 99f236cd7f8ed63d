//! The file: written beside its place and moved there, so that it is whole or
//! absent whenever a sidecar or its node dies. Its modification time is when
//! the agent was last heard.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Write as _},
    path::Path,
    time::SystemTime,
};

use super::{MAX_BYTES, Refusal};

/// What the file holds, and its time; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<(Vec<u8>, SystemTime)>, Refusal> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Refusal::Unreadable)?,
    };
    let time = file.metadata().and_then(|data| data.modified()).map_err(Refusal::Unreadable)?;
    let mut bytes = Vec::new();
    let cap = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes).map_err(Refusal::Unreadable)?;
    if bytes.len() > MAX_BYTES { Err(Refusal::TooLarge) } else { Ok(Some((bytes, time))) }
}

/// Puts a new file in the place of the one that may be there. `place` has it
/// moved there once it is written, or lets it be.
///
/// # Errors
/// The system's, with nothing left that would take room on a full disk.
pub(super) fn write(
    path: &Path,
    bytes: &[u8],
    place: impl FnOnce(&dyn Fn() -> io::Result<()>) -> io::Result<()>,
) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let written = write_through(&beside, bytes).and_then(|()| place(&|| fs::rename(&beside, path)));
    // Nothing is left of it where it was not moved; what is told is why not.
    let _ = fs::remove_file(&beside);
    written?;
    // Only so is the file there, under its name, after a power failure.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Sees to it that there is no file.
///
/// # Errors
/// The system's: there may still be one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Notes that the agent was heard now.
///
/// # Errors
/// The system's; that there is no file is none.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    match File::options().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        opened => opened?.set_modified(SystemTime::now()),
    }
}
