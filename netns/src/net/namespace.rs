//! An anonymous network namespace, which lives as long as its descriptor.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;
use std::thread;

use rustix::thread::{LinkNameSpaceType, Pid, gettid, move_into_link_name_space};

use crate::{Error, Result};

/// A network namespace without a name: the kernel takes it down, links
/// included, once the last descriptor and the last process in it are gone.
#[derive(Debug)]
pub(crate) struct NetNs {
    file: File,
}

impl NetNs {
    /// Makes a namespace in which only `lo` exists, and runs `set_up` while a
    /// thread inside it can be named to `ip` by the given id.
    pub(crate) fn new(set_up: impl FnOnce(&Self, Pid) -> Result<()>) -> Result<Self> {
        let (made, born) = mpsc::channel();
        let (done, leave) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let _ = made.send(enter_new());
                let _ = leave.recv();
            });
            let (file, tid) =
                born.recv().unwrap_or_else(|gone| Err(Error::Preflight(gone.to_string())))?;
            let namespace = Self { file };
            let outcome = set_up(&namespace, tid);
            drop(done);
            outcome.map(|()| namespace)
        })
    }

    /// Runs `work` on a thread of its own inside this namespace. Sockets and
    /// processes that it makes stay there.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(Error::io("enter the network namespace"))?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Where another process finds this namespace while we hold it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// Moves the calling thread into a namespace of its own.
fn enter_new() -> Result<(File, Pid)> {
    #[expect(
        deprecated,
        reason = "unsound only for CLONE_FILES; a new network namespace shares no memory"
    )]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET)
        .map_err(Error::io("make a network namespace"))?;
    let file = File::open("/proc/thread-self/ns/net")
        .map_err(Error::io("open the new network namespace"))?;
    Ok((file, gettid()))
}
