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

/// Whether a server skips the value behind a header that it rejects: those
/// from 1.6.40 on do. Those before run it as commands.
pub(crate) fn swallows_rejected_values(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output().expect("memcached runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.trim().strip_prefix("memcached ").expect("a version");
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    assert!(numbers.len() >= 3, "memcached says {said:?}");
    numbers >= vec![1, 6, 40]
}
