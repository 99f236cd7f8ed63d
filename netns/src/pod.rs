//! A running pod, and what one can do to it and ask of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::kubelet::{Container, remove_volumes};
use crate::manifest::PodSpec;
use crate::net::{Addresses, NetNs};
use crate::run::{Job, Output, Process, read_text, rss_kib, wait_text};
use crate::{Error, Node, Result, connect};

/// How long a command in a pod may run.
const EXEC_LIMIT: Duration = Duration::from_secs(30);

/// A running pod. Dropping it kills its containers and takes down its network.
#[derive(Debug)]
pub struct Pod {
    name: String,
    uid: String,
    addresses: Addresses,
    manifest: Value,
    grace: Duration,
    sidecars: usize,
    containers: Vec<Container>,
    network: NetNs,
    node: Node,
}

impl Pod {
    pub(crate) fn new(
        node: Node,
        network: NetNs,
        addresses: Addresses,
        spec: &PodSpec,
        manifest: Value,
        containers: Vec<Container>,
    ) -> Self {
        Self {
            name: format!("{}/{}", spec.namespace, spec.name),
            uid: spec.uid.clone(),
            addresses,
            manifest,
            grace: spec.grace,
            sidecars: containers.len() - spec.containers.len(),
            containers,
            network,
            node,
        }
    }

    /// `namespace/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The manifest with uid, namespace and `status`, as it was reported.
    pub fn manifest(&self) -> &Value {
        &self.manifest
    }

    /// The IPv4 address, which is `status.podIP`.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.addresses.v4
    }

    /// The IPv6 address.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.addresses.v6
    }

    /// Connects from inside the pod's network.
    ///
    /// # Errors
    /// The system's own, so that a refusal differs from a reset.
    pub fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        connect::connect(&self.network, to)
    }

    /// Connects from inside the pod's network, from the source address `from`.
    ///
    /// # Errors
    /// The system's own.
    pub fn connect_from(&self, from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
        connect::connect_from(&self.network, from, to)
    }

    /// Runs `work` on a thread inside the pod's network; sockets that it makes
    /// stay there.
    ///
    /// # Errors
    /// If the namespace can't be entered.
    pub fn enter_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.network.enter(work)
    }

    /// Runs a command in a container: its files, user and capabilities.
    ///
    /// # Errors
    /// If the container does not run, or the command can't be started or does
    /// not end within 30 s. Its own failure is in the exit code.
    pub fn exec(&self, container: &str, argv: &[&str]) -> Result<Output> {
        let found = self.find(container)?;
        let pid = self.pid(container)?;
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        found.recipe.exec(pid, &argv, EXEC_LIMIT).map_err(|problem| found.recipe.failed(problem))
    }

    /// Runs a program of the host, as root, in the pod's network.
    ///
    /// # Errors
    /// If it can't be started or does not end within 30 s.
    pub fn netns_exec(&self, argv: &[&str]) -> Result<Output> {
        self.node.run_in(&self.network, argv, EXEC_LIMIT)
    }

    /// Starts a program of the host in the pod's network, as the job says.
    ///
    /// # Errors
    /// [`Error::Command`] if it can't be started.
    pub fn start(&self, job: &Job<'_>) -> Result<Process> {
        self.node.start_in(&self.network, job)
    }

    /// What a container printed, over all its runs; an init container that
    /// completed included.
    ///
    /// # Errors
    /// If the pod has no such container.
    pub fn logs(&self, container: &str) -> Result<String> {
        match self.find(container) {
            Ok(found) => Ok(read_text(&found.recipe.log)),
            Err(unknown) => {
                let log = self
                    .node
                    .work_dir()
                    .join("containers")
                    .join(&self.uid)
                    .join(container)
                    .join("log");
                if log.is_file() { Ok(read_text(&log)) } else { Err(unknown) }
            }
        }
    }

    /// Waits until a container's log satisfies `wanted` and returns it.
    ///
    /// # Errors
    /// [`Error::Container`] with the log when `limit` has passed.
    pub fn wait_log(
        &self,
        container: &str,
        wanted: impl Fn(&str) -> bool,
        limit: Duration,
    ) -> Result<String> {
        let found = self.find(container)?;
        wait_text(&found.recipe.log, wanted, limit).ok_or_else(|| {
            found.recipe.failed(format!("its log did not say what was awaited within {limit:?}"))
        })
    }

    /// The host's id of a container's first process.
    ///
    /// # Errors
    /// If it does not run now.
    pub fn pid(&self, container: &str) -> Result<i32> {
        let found = self.find(container)?;
        found.pid().ok_or_else(|| found.recipe.failed("it does not run now"))
    }

    /// Signals a container's first process. After SIGKILL it is gone, with its
    /// sockets, when this returns.
    ///
    /// # Errors
    /// If it does not run now.
    pub fn kill(&self, container: &str, signal: Signal) -> Result<()> {
        let found = self.find(container)?;
        if found.signal(signal) { Ok(()) } else { Err(found.recipe.failed("it does not run now")) }
    }

    /// How often a container was started again.
    ///
    /// # Errors
    /// If the pod has no such container.
    pub fn restarts(&self, container: &str) -> Result<u32> {
        self.find(container).map(Container::restarts)
    }

    /// Whether a container passes its probes now.
    ///
    /// # Errors
    /// If the pod has no such container.
    pub fn ready(&self, container: &str) -> Result<bool> {
        self.find(container).map(Container::ready)
    }

    /// Waits until a container is ready after at least `restarts` restarts.
    ///
    /// # Errors
    /// [`Error::Container`] with its log when `limit` has passed.
    pub fn wait_restarted(&self, container: &str, restarts: u32, limit: Duration) -> Result<()> {
        self.find(container)?.wait_restarted(restarts, limit)
    }

    /// Resident memory of a container's first process, in KiB.
    ///
    /// # Errors
    /// If it does not run now.
    pub fn rss_kib(&self, container: &str) -> Result<u64> {
        let pid = self.pid(container)?;
        rss_kib(pid).ok_or_else(|| Error::field("VmRSS", format!("process {pid} shows none")))
    }

    /// Ends the pod as a kubelet does: hook and SIGTERM to the containers, then to the
    /// native sidecars from the last to the first, SIGKILL after the pod's
    /// grace period. Returns the exit code of each.
    pub fn stop(&mut self) -> Vec<(String, i32)> {
        let (sidecars, main) = self.containers.split_at(self.sidecars);
        for container in &self.containers {
            container.no_more_runs();
        }
        for container in main {
            container.ask_to_stop(self.grace);
        }
        let end = |container: &Container| {
            let code = container.wait_end(self.grace).unwrap_or_default();
            (container.recipe.container.clone(), code)
        };
        let mut ended: Vec<_> = main.iter().map(end).collect();
        for sidecar in sidecars.iter().rev() {
            sidecar.ask_to_stop(self.grace);
            ended.push(end(sidecar));
        }
        ended
    }

    fn find(&self, container: &str) -> Result<&Container> {
        self.containers.iter().find(|one| one.recipe.container == container).ok_or_else(|| {
            let names: Vec<&str> =
                self.containers.iter().map(|one| one.recipe.container.as_str()).collect();
            Error::field(
                format!("{}: {container}", self.name),
                format!("is not one of {}", names.join(", ")),
            )
        })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for container in &self.containers {
            container.kill();
        }
        self.containers.clear();
        remove_volumes(self.node.work_dir(), &self.uid);
    }
}
