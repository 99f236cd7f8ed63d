//! A Cassandra of the test's own: one node, in the foreground.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long it may take to listen on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Cassandra {
    child: Child,
    folder: TempDir,
}

/// What `e2e/servers/cassandra/install` brought: `REMORA_CASSANDRA`, or beside
/// the programs that are tested.
pub(crate) fn home() -> PathBuf {
    let built = || {
        let test = std::env::current_exe().expect("a path");
        test.ancestors().nth(3).expect("target").join("cassandra")
    };
    let home = std::env::var_os("REMORA_CASSANDRA").map_or_else(built, PathBuf::from);
    assert!(home.join("lib").is_dir(), "no Cassandra in {}: `cargo xtask setup`", home.display());
    home
}

impl Cassandra {
    /// Starts one that will listen on `address`. It belongs to the network
    /// namespace that this runs in.
    pub(crate) fn spawn(address: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new(home().join("start"))
            .args([home().join("lib"), folder.path().to_owned()])
            .args([address.to_string(), PORT.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, folder }
    }

    /// Waits until it listens; `connect` tries.
    pub(crate) fn await_listening(&mut self, connect: impl Fn() -> std::io::Result<TcpStream>) {
        let begin = Instant::now();
        while connect().is_err() {
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none(), "Cassandra ends with {ended:?}:\n{}", self.log());
            assert!(begin.elapsed() < PATIENCE, "Cassandra does not listen:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
        println!("Cassandra listens after {:.1} s", begin.elapsed().as_secs_f64());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("system.log")).unwrap_or_default()
    }
}

pub(crate) const PORT: u16 = 9042;

/// One on loopback, for the whole of a test.
pub(crate) fn on_loopback(address: Ipv4Addr) -> Cassandra {
    let mut server = Cassandra::spawn(address);
    server.await_listening(|| TcpStream::connect(SocketAddr::from((address, PORT))));
    server
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
