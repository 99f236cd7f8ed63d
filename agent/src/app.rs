//! The agent as a whole: a thread that watches and judges, a task that serves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use remora_parsers::Registry;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::directory::{Manifests, Watch};
use crate::kubernetes::{self, ClusterConfig};
use crate::notice::{Journal, Notice};
use crate::options::{EXIT_SOFTWARE, EXIT_UNAVAILABLE, EXIT_USAGE};
use crate::server::{Server, Slices};
use crate::world::World;

/// How long until a socket that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What an agent needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of manifests.
    pub directory: PathBuf,
    /// Where the pods' folders are made, each with its socket.
    pub sockets: PathBuf,
    /// Uid and gid of sidecars.
    pub proxy_uid: u32,
    /// The protocols that policies may name.
    pub registry: Registry,
}

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory of manifests is none, or cannot be watched.
    #[error("--dir {}: {error}; give a directory of manifests that the agent may read", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The folder for sockets cannot be made or written to.
    #[error("--sockets {}: {error}; give a directory that the agent may write to", path.display())]
    Sockets {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The watching thread ended before everything was read.
    #[error("the watching thread ended; this is a bug")]
    Watch,
    /// There is no API server to talk to.
    #[error(
        "no API server: {0}; run in a pod with a service account, or let KUBECONFIG name a file"
    )]
    ApiServer(String),
    /// The API server did not give everything that is needed.
    #[error("{0}")]
    Sync(String),
    /// An address cannot be listened at.
    #[error("{address}: {error}; give another one with --listen, --metrics or --health")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The server cannot speak TLS.
    #[error("TLS cannot be set up: {0}; this is a bug")]
    Tls(String),
}

impl StartError {
    /// The exit status that goes with it.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::Directory { .. } | Self::Sockets { .. } | Self::Listen { .. } => EXIT_USAGE,
            Self::ApiServer(_) | Self::Sync(_) => EXIT_UNAVAILABLE,
            Self::Watch | Self::Tls(_) => EXIT_SOFTWARE,
        }
    }
}

/// The agent.
#[derive(Debug)]
pub struct App;

/// An agent that serves.
#[derive(Debug)]
pub struct Running {
    /// Of a directory.
    watch: Option<Watch>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What the watching thread hands over.
#[derive(Debug)]
struct Snapshot {
    slices: Slices,
    policies: usize,
}

type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

impl App {
    /// Starts an agent on Kubernetes in the current runtime, with the API server
    /// that the environment names. Everything has been listed when this returns.
    ///
    /// # Errors
    /// A [`StartError`] with cause and remedy; after 45 s at the latest.
    pub async fn start_in_cluster(config: ClusterConfig) -> Result<Running, StartError> {
        kubernetes::start(config).await
    }

    /// Starts an agent in the current runtime. It serves when this returns:
    /// every file has been read once, every pod has its socket, and `.ready`
    /// lies beside them.
    ///
    /// # Errors
    /// A [`StartError`] that names the flag and the remedy.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let Config { directory, sockets, proxy_uid, registry } = config;
        let (sender, mut snapshots) = watch::channel(None);
        let watch = Watch::start(&directory, judge(registry, sender))
            .map_err(|error| StartError::Directory { path: directory, error })?;
        // Second, so that a mistyped directory leaves no folder of sockets behind.
        let server = match Server::new(&sockets, proxy_uid) {
            Ok(server) => server,
            Err(error) => {
                watch.stop();
                return Err(StartError::Sockets { path: sockets, error });
            }
        };
        if snapshots.wait_for(Option::is_some).await.is_err() {
            return Err(StartError::Watch);
        }
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let task = tokio::spawn(follow(server, snapshots, ready, stopped));
        // Without a word the task has ended, which `wait` then tells.
        let _ = is_ready.await;
        Ok(Running { watch: Some(watch), stop, task })
    }
}

impl Running {
    pub(crate) fn of_cluster(stop: oneshot::Sender<()>, task: JoinHandle<()>) -> Self {
        Self { watch: None, stop, task }
    }

    /// Waits until the agent ends by itself, which it does only if a part of it
    /// has: a bug, after which sidecars keep what they have.
    pub async fn wait(&mut self) {
        // It cannot be awaited twice, but whoever asks again gets the same answer.
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }

    /// Stops serving and watching.
    pub async fn shutdown(self) {
        // A task that has ended already has nothing to be told.
        let _ = self.stop.send(());
        if !self.task.is_finished() {
            let _ = self.task.await;
        }
        if let Some(watch) = self.watch {
            watch.stop();
        }
    }
}

/// What the watching thread does with every change.
fn judge(
    registry: Registry,
    sender: watch::Sender<Option<Arc<Snapshot>>>,
) -> impl FnMut(Manifests) + Send + 'static {
    let mut world = World::new(registry);
    let mut journal = Journal::default();
    move |manifests| {
        let notices = world.update(&manifests);
        journal.news(notices).iter().for_each(Notice::log);
        let snapshot = Snapshot { slices: world.slices().clone(), policies: world.policy_count() };
        sender.send_replace(Some(Arc::new(snapshot)));
    }
}

/// Serves every snapshot, the latest only if several come at once.
async fn follow(
    mut server: Server,
    mut snapshots: Snapshots,
    ready: oneshot::Sender<()>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut ready = Some(ready);
    let mut told = None;
    loop {
        let Some(snapshot) = snapshots.borrow_and_update().clone() else { break };
        let is_complete = server.serve(&snapshot.slices);
        let counts = (server.pod_count(), snapshot.policies);
        if told.replace(counts) != Some(counts) {
            let first = if ready.is_some() { "ready: " } else { "" };
            tracing::info!("{first}serving {} pods, {} policies", counts.0, counts.1);
        }
        if let Some(ready) = ready.take() {
            server.mark_ready();
            // Nobody waits for it when starting was given up.
            let _ = ready.send(());
        }
        tokio::select! {
            _ = &mut stopped => break,
            changed = snapshots.changed() => if changed.is_err() {
                tracing::error!("the watching thread ended, which is a bug; sidecars keep what they have");
                break;
            },
            () = tokio::time::sleep(RETRY), if !is_complete => {}
        }
    }
    server.stop().await;
}
