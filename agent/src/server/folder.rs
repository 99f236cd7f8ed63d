//! The folder of all sockets: who may open which.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::world::PodKey;

/// The socket's name in a pod's folder.
const SOCKET: &str = "agent.sock";
/// Its name until it is listening with the right owner and mode.
const UNFINISHED: &str = ".agent.sock";
/// Exists while all pods are served.
const READY: &str = ".ready";

/// The folder that holds a folder for each pod.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
    /// Whom sockets are given to; none if we may not give anything away.
    group: Option<Gid>,
}

impl Folder {
    pub(super) fn open(path: &Path, proxy_uid: u32) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let handle = open_folder(CWD, path, OFlags::empty())?;
        let group = rustix::process::geteuid().is_root().then(|| Gid::from_raw(proxy_uid));
        if group.is_none() {
            tracing::warn!(
                "not running as root: sockets are not given to the proxy's group {proxy_uid}, so only this user can open them"
            );
        }
        let folder = Self { path: path.to_owned(), handle, group };
        // Of an earlier run; this also tells whether we may write here.
        match rustix::fs::unlinkat(&folder.handle, READY, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        rustix::fs::accessat(&folder.handle, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)?;
        Ok(folder)
    }

    pub(super) fn socket_path(&self, key: &PodKey) -> PathBuf {
        self.path.join(folder_name(key)).join(SOCKET)
    }

    /// A socket for this pod, in the place of one that an earlier run left.
    ///
    /// Paths go through open handles: nothing that lies in the folder can lead
    /// us elsewhere, and the length of a socket's address is no limit.
    pub(super) fn listen(&self, key: &PodKey) -> io::Result<UnixListener> {
        let name = folder_name(key);
        match rustix::fs::mkdirat(&self.handle, &name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let own = open_folder(&self.handle, Path::new(&name), OFlags::NOFOLLOW)?;
        if self.group.is_some() {
            rustix::fs::fchown(&own, Some(Uid::ROOT), self.group)?;
        }
        rustix::fs::fchmod(&own, Mode::from_raw_mode(0o750))?;
        let _ = rustix::fs::unlinkat(&own, UNFINISHED, AtFlags::empty());
        let address = format!("/proc/self/fd/{}/{UNFINISHED}", own.as_raw_fd());
        let listener = UnixListener::bind(address)?;
        if self.group.is_some() {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&own, UNFINISHED, Some(Uid::ROOT), self.group, flags)?;
        }
        rustix::fs::chmodat(&own, UNFINISHED, Mode::from_raw_mode(0o660), AtFlags::empty())?;
        rustix::fs::renameat(&own, UNFINISHED, &own, SOCKET)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    pub(super) fn remove_socket(&self, key: &PodKey) {
        let socket = Path::new(&folder_name(key)).join(SOCKET);
        warn(rustix::fs::unlinkat(&self.handle, socket, AtFlags::empty()), &self.socket_path(key));
    }

    pub(super) fn remove(&self, key: &PodKey) {
        let name = folder_name(key);
        let path = self.path.join(&name);
        warn(rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR), &path);
    }

    pub(super) fn mark_ready(&self) {
        let path = self.path.join(READY);
        if let Err(error) = std::fs::write(&path, "") {
            tracing::error!("{}: {error}: nobody who waits for it will go on", path.display());
        }
    }

    pub(super) fn clear_ready(&self) {
        let outcome = rustix::fs::unlinkat(&self.handle, READY, AtFlags::empty());
        warn(outcome, &self.path.join(READY));
    }
}

/// No name of a pod or namespace holds a `_`, so no two pods share a folder.
fn folder_name(key: &PodKey) -> String {
    format!("{}_{}", key.namespace, key.name)
}

fn open_folder(at: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

fn warn(outcome: rustix::io::Result<()>, path: &Path) {
    match outcome {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => tracing::warn!("{}: cannot be removed: {error}", path.display()),
    }
}
