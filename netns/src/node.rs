//! The node: a network namespace with a bridge, and the kubelet of its pods.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::image::Images;
use crate::kubelet::{self, Host, complete};
use crate::manifest::PodSpec;
use crate::net::{Addresses, NetNs, attach_pod, set_up_node};
use crate::run::{Job, Output, Process, run_to_end};
use crate::scratch::Scratch;
use crate::shim::{Files, Spec, User};
use crate::{Error, Pod, Result, connect, preflight};

/// How long a step of a pod's start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node and its bridge, in a network namespace of its own. Its pods keep
/// what they need of it, so that the two may be dropped in any order.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    network: Arc<NetNs>,
    images: Images,
    shim: PathBuf,
    patience: Duration,
    next_host: AtomicU8,
    scratch: Scratch,
}

impl Node {
    /// A node that has these images, and finds `remora-shim` beside the running
    /// program.
    ///
    /// # Errors
    /// [`Error::Preflight`] if this machine can't do it; any refusal of the system.
    pub fn new(images: Images) -> Result<Self> {
        preflight()?;
        Self::with_shim(images, &find_shim()?)
    }

    /// A node whose containers run under the program `shim`.
    ///
    /// # Errors
    /// As for [`Node::new`].
    pub fn with_shim(images: Images, shim: &Path) -> Result<Self> {
        preflight()?;
        let network = NetNs::new(|node, _| set_up_node(node))?;
        Ok(Self(Arc::new(Inner {
            network: Arc::new(network),
            images,
            shim: shim.to_owned(),
            patience: PATIENCE,
            next_host: AtomicU8::new(2),
            scratch: Scratch::new(shim)?,
        })))
    }

    /// Lets each step of a pod's start take up to `limit` instead of 30 s.
    /// To be said before the first pod starts: afterwards it has no effect.
    #[must_use]
    pub fn with_patience(mut self, limit: Duration) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.patience = limit;
        }
        self
    }

    /// A directory that goes away with the node, for whatever the caller keeps
    /// beside it.
    pub fn work_dir(&self) -> &Path {
        self.0.scratch.path()
    }

    /// The node's own addresses, from which probes come.
    pub fn addresses(&self) -> [IpAddr; 2] {
        Addresses::NODE.all()
    }

    /// Runs a Pod manifest. `report` gets it completed with uid, namespace and
    /// `status.podIPs` before any container starts, as a kubelet reports it.
    ///
    /// Pods may be started from several threads at once.
    ///
    /// # Errors
    /// [`Error::Field`] for what can't be honoured, [`Error::Container`] for
    /// one that did not start, complete or become ready in time.
    pub fn run_pod(
        &self,
        manifest: &Value,
        report: impl FnOnce(&Value) -> io::Result<()>,
    ) -> Result<Pod> {
        let host = self.0.next_host.fetch_add(1, Ordering::Relaxed);
        if host < 2 || host == u8::MAX {
            return Err(Error::Preflight(
                "the node's network has no address left: use another node".into(),
            ));
        }
        let addresses = Addresses::of_host(host);
        let manifest = complete(manifest, addresses)?;
        let spec = PodSpec::read(&manifest)?;
        let node = &self.0.network;
        let network = NetNs::new(|pod, inside| attach_pod(node, pod, inside, host))?;
        report(&manifest).map_err(Error::io("report the pod's status"))?;
        let containers = kubelet::start(&spec, addresses, &network, self.host())?;
        Ok(Pod::new(self.clone(), network, addresses, &spec, manifest, containers))
    }

    /// Connects from the node, as the kubelet does.
    ///
    /// # Errors
    /// The system's own, so that a refusal differs from a reset.
    pub fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        connect::connect(&self.0.network, to)
    }

    /// Starts a program of the host in the node's network, with the host's
    /// files and all rights, such as the agent.
    ///
    /// # Errors
    /// [`Error::Command`] if it can't be started.
    pub fn start_process(
        &self,
        name: &str,
        argv: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Process> {
        self.start(&Job { name, argv, env, uid: None, stdout: None })
    }

    /// Starts a program of the host in the node's network, as the job says.
    ///
    /// # Errors
    /// [`Error::Command`] if it can't be started.
    pub fn start(&self, job: &Job<'_>) -> Result<Process> {
        self.start_in(&self.0.network, job)
    }

    /// Starts a program of the host in `network`.
    pub(crate) fn start_in(&self, network: &NetNs, job: &Job<'_>) -> Result<Process> {
        let log = self.0.scratch.make_dir("processes")?.join(format!("{}.log", job.name));
        let mut spec = self.host_spec(network, job.argv, job.stdout.unwrap_or(&log), &log);
        spec.env.extend(job.env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        spec.user = job.uid.map(User::without_rights);
        Process::start(job.name, &self.0.shim, &spec, &log)
    }

    /// Runs a program of the host in `network` to its end.
    pub(crate) fn run_in(&self, network: &NetNs, argv: &[&str], limit: Duration) -> Result<Output> {
        let output = tempfile::tempdir_in(self.work_dir())
            .map_err(Error::io("make a directory for output"))?;
        let spec = self.host_spec(
            network,
            argv,
            &output.path().join("stdout"),
            &output.path().join("stderr"),
        );
        run_to_end(&self.0.shim, &spec, limit)
            .map_err(|problem| Error::Command { command: argv.join(" "), output: problem })
    }

    fn host_spec(&self, network: &NetNs, argv: &[&str], stdout: &Path, stderr: &Path) -> Spec {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Spec {
            network: network.path(),
            files: Files::Host,
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: vec![("PATH".to_owned(), path.to_owned())],
            working_dir: "/".to_owned(),
            user: None,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }

    fn host(&self) -> Host<'_> {
        Host {
            shim: &self.0.shim,
            scratch: &self.0.scratch,
            images: &self.0.images,
            node: &self.0.network,
            patience: self.0.patience,
        }
    }
}

/// Beside the running program, or one directory up: tests lie in `deps/`.
fn find_shim() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let places = program.ancestors().skip(1).take(2).map(|directory| directory.join("remora-shim"));
    places.clone().find(|place| place.is_file()).ok_or_else(|| {
        let looked: Vec<String> = places.map(|place| place.display().to_string()).collect();
        Error::Preflight(format!(
            "remora-shim is not built: `cargo build -p remora-netns` (looked for {})",
            looked.join(" and ")
        ))
    })
}
