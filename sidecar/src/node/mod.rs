//! Node mode: one process for many pods, in the node's network.
//!
//! ```text
//! folder of endpoints ── a file a pod ──> node ── opens, replaces, ends ──> endpoints
//! ```
//!
//! Each endpoint is what a sidecar would be in that pod, with the same ports,
//! the same redirection and an agent connection of its own; its sockets are
//! made inside the pod's network ([`Network`](crate::Network)). It lives on one
//! of the process's threads, whole. A pod whose endpoint is not served, for
//! whatever reason, is closed: its redirection leads to nobody.

mod file;
mod folder;
mod rights;
mod threads;

use std::{
    collections::BTreeMap, ffi::OsString, future::Future, io, num::NonZeroUsize, path::PathBuf,
    sync::Arc, time::Duration,
};

use remora_parsers::Registry;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tracing::Instrument as _;

pub(crate) use self::file::File;
pub use self::rights::{RightsError, become_finder, become_proxy};
use self::{
    file::EndpointError,
    folder::{Files, Folder},
    threads::Threads,
};
use crate::{
    access_log, config::NodeConfig, endpoint::Endpoint, errors::StartError, process::Process,
};

/// Pause before an endpoint that could not be served is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// A node's proxy.
#[derive(Debug)]
pub struct Node {
    endpoints: PathBuf,
    threads: NonZeroUsize,
    config: NodeConfig,
    registry: Registry,
}

/// Why a node's proxy cannot start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The folder cannot be read, or not be watched.
    #[error("the folder of endpoints {}: {error}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// There can be no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// What a sidecar could not do without, either.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Node {
    /// One that serves the endpoints of this folder on so many threads.
    #[must_use]
    pub fn new(
        endpoints: PathBuf,
        threads: NonZeroUsize,
        config: NodeConfig,
        registry: Registry,
    ) -> Self {
        Self { endpoints, threads, config, registry }
    }

    /// Serves until `shutdown`, within a tokio runtime of this thread, which is
    /// the first of the threads.
    ///
    /// # Errors
    /// A [`NodeError`]; never because of an endpoint.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
        let Self { endpoints, threads, config, registry } = self;
        let wrong = |error| NodeError::Folder { path: endpoints.clone(), error };
        let process =
            Arc::new(Process::of_many(registry, &config.access_log, access_log::stdout())?);
        let threads = Threads::start(threads).map_err(NodeError::Thread)?;
        let mut folder = Folder::watch(&endpoints).map_err(wrong)?;
        let mut served = Served { process: Arc::clone(&process), pods: BTreeMap::new(), threads };
        let mut watching = JoinSet::new();
        let watched = Arc::clone(&process);
        watching.spawn(async move { watched.watch().await });
        tokio::pin!(shutdown);
        loop {
            served.take(folder.read().map_err(wrong)?);
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                changed = folder.changed() => changed.map_err(wrong)?,
            }
        }
        served.stop().await;
        process.flush().await;
        Ok(())
    }
}

/// The endpoints there are, by their files.
#[derive(Debug)]
struct Served {
    process: Arc<Process>,
    threads: Threads,
    pods: BTreeMap<OsString, Pod>,
}

/// What is done for one file.
#[derive(Debug)]
struct Pod {
    text: Arc<[u8]>,
    thread: usize,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Served {
    /// Makes the endpoints what the folder says. One whose file has changed, or
    /// is gone, ends at once, with its connections: it is another pod's, or
    /// nobody's.
    fn take(&mut self, files: Files) {
        let mut ended = BTreeMap::new();
        for (name, pod) in std::mem::take(&mut self.pods) {
            if files.get(&name) == Some(&pod.text) {
                self.pods.insert(name, pod);
            } else {
                pod.serving.abort();
                self.threads.leave(pod.thread);
                ended.insert(name, pod.serving);
            }
        }
        for (name, text) in files {
            if !self.pods.contains_key(&name) {
                let before = ended.remove(&name);
                let pod = self.open(&name, text, before);
                self.pods.insert(name, pod);
            }
        }
        tracing::info!(endpoints = self.pods.len(), "served");
    }

    fn open(&mut self, name: &OsString, text: Arc<[u8]>, before: Option<JoinHandle<()>>) -> Pod {
        let (stop, stopped) = watch::channel(false);
        let span = tracing::error_span!("endpoint", file = %name.display());
        let (process, served) = (Arc::clone(&self.process), Arc::clone(&text));
        let serving = async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            serve(&served, &process, stopped).await;
        };
        let (thread, handle) = self.threads.enter();
        Pod { text, thread, stop, serving: handle.spawn(serving.instrument(span)) }
    }

    /// Lets all of them finish what is in flight.
    async fn stop(self) {
        for pod in self.pods.values() {
            pod.stop.send_replace(true);
        }
        for pod in self.pods.into_values() {
            let _ = pod.serving.await;
        }
    }
}

/// Serves one endpoint until it is stopped; one that cannot be served, or that
/// breaks, is tried again.
async fn serve(text: &Arc<[u8]>, process: &Arc<Process>, mut stopped: watch::Receiver<bool>) {
    let mut said = None;
    loop {
        // A task of its own: what a panic might do to us ends with it.
        let mut attempt = JoinSet::new();
        let (text, process) = (Arc::clone(text), Arc::clone(process));
        attempt.spawn(attempted(text, process, stopped.clone()).in_current_span());
        let why = match attempt.join_next().await {
            Some(Ok(Err(error))) => error.to_string(),
            Some(Err(panic)) => panic.to_string(),
            Some(Ok(Ok(()))) | None => return,
        };
        if said.as_ref() != Some(&why) {
            tracing::error!(why, "this pod is not served, and closed");
            said = Some(why);
        }
        // Whoever could stop it is gone: that is stopping it, too.
        let asked = async { drop(stopped.wait_for(|stop| *stop).await) };
        tokio::select! {
            () = asked => return,
            () = sleep(AGAIN) => {}
        }
    }
}

async fn attempted(
    text: Arc<[u8]>,
    process: Arc<Process>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), EndpointError> {
    let config = file::read(&text)?;
    let endpoint = Endpoint::open(config, process)?;
    tracing::info!(addresses = ?endpoint.addresses(), "listening");
    endpoint.run(async { drop(stopped.wait_for(|stop| *stop).await) }).await;
    Ok(())
}
