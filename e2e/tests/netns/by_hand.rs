//! A sidecar that a test starts itself, in an injected pod whose own one only
//! holds the place: with its own environment, limits and restarts.

use std::{
    net::SocketAddr,
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use remora_netns::Pod;
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{MEMCACHED, Stage, bin, eventually};

/// The uid by which the redirection knows the proxy.
pub(crate) const PROXY_UID: u32 = 16006;

/// Where a sidecar tells about itself, inside its pod.
const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 16000);

/// The pod, and how its sidecar is started.
pub(crate) struct ByHand {
    pub(crate) cache: Pod,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl ByHand {
    /// A memcached with `app: cache`, started with these arguments, behind a
    /// redirection to nobody.
    pub(crate) fn set(stage: &Stage, arguments: &[&str]) -> Self {
        Self::of(stage, stage.injected_cache(arguments))
    }

    /// The same, from a manifest that is injected already.
    pub(crate) fn of(stage: &Stage, injected: Value) -> Self {
        let cache = stage.run(&with_an_idle_sidecar(injected));
        let loopback = SocketAddr::from(([127, 0, 0, 1], MEMCACHED));
        eventually("memcached listens", || cache.connect(loopback).is_ok());
        let folder = tempfile::tempdir().expect("a directory");
        chown(folder.path(), Some(PROXY_UID), Some(PROXY_UID)).expect("given away");
        let environment = [
            ("REMORA_AGENT", format!("unix:{}", stage.socket("cache").display())),
            ("REMORA_POD_NAME", "cache".to_owned()),
            ("REMORA_POD_NAMESPACE", "default".to_owned()),
            ("REMORA_POD_UID", cache.uid().to_owned()),
            ("REMORA_POD_IPS", format!("{},{}", cache.ipv4(), cache.ipv6())),
            ("REMORA_SNAPSHOT", folder.path().join("snapshot").display().to_string()),
            ("REMORA_LOG", "warn".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { cache, environment, folder }
    }

    /// Sets one more variable of the sidecar.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where clients reach memcached.
    pub(crate) fn address(&self) -> SocketAddr {
        (self.cache.ipv4(), MEMCACHED).into()
    }

    /// Where it keeps its policy.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.folder.path().join("snapshot")
    }

    /// Whether a policy lies there.
    pub(crate) fn has_saved(&self) -> bool {
        self.snapshot().exists()
    }

    /// Starts a sidecar, by way of another program if `through` names one.
    pub(crate) fn start(&self, through: &[&str]) -> Sidecar {
        self.start_saying(through, Stdio::null)
    }

    /// The same, with both its logs going to `sink`.
    pub(crate) fn start_saying(&self, through: &[&str], sink: impl Fn() -> Stdio) -> Sidecar {
        let program = bin().join("remora-sidecar").display().to_string();
        let words: Vec<&str> = through.iter().copied().chain([program.as_str(), "run"]).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdout(sink())
            .stderr(sink())
            .uid(PROXY_UID)
            .gid(PROXY_UID);
        let started = self.cache.enter_network(|| command.spawn()).expect("the pod's network");
        Sidecar(started.expect("started"))
    }

    /// One of its metrics.
    pub(crate) fn metric(&self, series: &str) -> Option<u64> {
        let page = self.page();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// All of them; empty if it does not answer.
    pub(crate) fn page(&self) -> String {
        self.got(([127, 0, 0, 1], 16020), "/metrics")
    }

    /// What the sidecar's own port answers to `GET path`; empty if it does not.
    pub(crate) fn told(&self, path: &str) -> String {
        self.got(ADMIN, path)
    }

    fn got(&self, from: ([u8; 4], u16), path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = self.cache.connect(from.into()) else { return String::new() };
        let mut answer = String::new();
        let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: sidecar\r\n\r\n");
        let told = asked.and_then(|()| stream.read_to_string(&mut answer));
        told.map(|_| answer).unwrap_or_default()
    }
}

/// The pod as injected, but the sidecar's program is one that does nothing.
fn with_an_idle_sidecar(mut pod: Value) -> Value {
    let containers = pod["spec"]["initContainers"].as_array_mut().expect("init containers");
    let sidecar = containers.iter_mut().find(|one| one["name"] == "remora").expect("a sidecar");
    let sidecar = sidecar.as_object_mut().expect("a map");
    sidecar.insert("image".into(), "idle".into());
    for field in ["args", "startupProbe"] {
        sidecar.remove(field);
    }
    pod
}

/// A running sidecar. Dropping it kills it.
pub(crate) struct Sidecar(Child);

impl Sidecar {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it and waits until it, and what it listened on, is gone.
    pub(crate) fn end(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Sends it a signal, by its id.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill").success(), "kill -{name}");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.end();
    }
}
