//! A memcached of the test's own, on a unix socket.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) struct Memcached {
    child: Child,
    socket: PathBuf,
    _dir: TempDir,
}

impl Memcached {
    pub(crate) fn start(program: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("memcached.sock");
        let child = Command::new(program)
            .args(["-m", "64", "-t", "1", "-U", "0", "-u", "root", "-s"])
            .arg(&socket)
            .stdin(Stdio::null())
            // Generated connections also turn its verbosity up.
            .stderr(Stdio::null())
            .spawn()
            .expect("memcached is installed: `cargo xtask setup` does it");
        let server = Self { child, socket, _dir: dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&server.socket).is_err() {
            assert!(Instant::now() < deadline, "memcached does not listen");
            thread::yield_now();
        }
        server
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("memcached accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
