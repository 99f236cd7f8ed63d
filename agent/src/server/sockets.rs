//! A socket for each pod that carries a sidecar, and on it nothing but that
//! pod's slice: who can open the socket is who may know it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::connection::{Connection, Visit};
use super::feed::{Feed, Publisher};
use super::folder::Folder;
use super::service::{Gate, Router, server};
use super::{Counters, Slices};
use crate::notice::{Journal, Notice, Severity};
use crate::world::{PodKey, PodSlice};

/// How long a peer may take to let go of its connection when the agent stops.
const GRACE: Duration = Duration::from_secs(1);
/// How many connections one pod may have at a time: its sidecar has one, and
/// one that is starting may overlap with one that is draining.
const MAX_CONNECTIONS: usize = 8;
/// How long to wait when the system has no file left for us.
const PAUSE: Duration = Duration::from_millis(100);

/// The sockets of all pods.
#[derive(Debug)]
pub(crate) struct Server {
    folder: Folder,
    pods: BTreeMap<PodKey, Served>,
    failures: Journal,
    counters: Arc<Counters>,
}

/// A pod that is being served.
#[derive(Debug)]
struct Served {
    uid: String,
    publisher: Publisher,
    /// Dropped to end the task.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// A server whose sockets lie under `folder` and may be opened by the group `proxy_uid`.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub(crate) fn new(folder: &Path, proxy_uid: u32) -> io::Result<Self> {
        let folder = Folder::open(folder, proxy_uid)?;
        let (failures, counters) = (Journal::default(), Arc::default());
        Ok(Self { folder, pods: BTreeMap::new(), failures, counters })
    }

    /// Serves these pods with these slices, and no others. Says whether every
    /// socket could be made; if not, the same call may succeed later.
    pub(crate) fn serve(&mut self, slices: &Slices) -> bool {
        self.withdraw(slices);
        let mut failures = Vec::new();
        for (key, slice) in slices {
            if let Some(served) = self.pods.get_mut(key) {
                served.publisher.publish(slice);
                continue;
            }
            match self.start(key, slice) {
                Ok(served) => drop(self.pods.insert(key.clone(), served)),
                Err(error) => failures.push(self.failure(key, &error)),
            }
        }
        let is_complete = failures.is_empty();
        self.failures.news(failures).iter().for_each(Notice::log);
        is_complete
    }

    /// How many pods are served.
    pub(crate) fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// Says to whoever waits for it that all pods are served.
    pub(crate) fn mark_ready(&self) {
        self.folder.mark_ready();
    }

    /// Ends all service. The pods' folders stay: running pods have them mounted.
    pub(crate) async fn stop(self) {
        self.folder.clear_ready();
        let mut tasks = Vec::new();
        for (key, served) in self.pods {
            self.folder.remove_socket(&key);
            tasks.push(served.end());
        }
        let all = async {
            for task in tasks {
                // Only a panic could end it otherwise, and that was told already.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::debug!("some connections outlived the agent's patience");
        }
    }

    fn withdraw(&mut self, slices: &Slices) {
        let gone: Vec<PodKey> = self
            .pods
            .iter()
            .filter(|(key, served)| slices.get(*key).is_none_or(|slice| slice.uid != served.uid))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            let Some(served) = self.pods.remove(&key) else { continue };
            drop(served.end());
            self.folder.remove_socket(&key);
            // A pod of that name with another uid may have mounted the folder already.
            if !slices.contains_key(&key) {
                self.folder.remove(&key);
            }
            tracing::info!("{key}: no longer served");
        }
    }

    fn start(&self, key: &PodKey, slice: &Arc<PodSlice>) -> io::Result<Served> {
        let listener = self.folder.listen(key)?;
        let (mut publisher, feed) = Publisher::new(key.clone(), slice, None, &self.counters);
        publisher.publish(slice);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, Arc::new(feed), stopped)?);
        tracing::info!("{key}: serving at {}", self.folder.socket_path(key).display());
        Ok(Served { uid: slice.uid.clone(), publisher, stop, task })
    }

    fn failure(&self, key: &PodKey, error: &io::Error) -> Notice {
        let path = self.folder.socket_path(key);
        let text = format!(
            "{}: {error}: pod {key} gets no policy, so its sidecar denies everything; see that the agent may write there",
            path.display()
        );
        Notice::new(Severity::Error, 0, text)
    }
}

impl Served {
    /// Ends all streams, then the task.
    fn end(self) -> JoinHandle<()> {
        drop(self.publisher);
        drop(self.stop);
        self.task
    }
}

/// Serves one pod until `stopped` ends.
fn serve(
    listener: UnixListener,
    feed: Arc<Feed>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let pod = feed.subject.clone();
    let incoming = accept(tokio::net::UnixListener::from_std(listener)?);
    let router = Router::new(Gate::Socket(feed));
    let server = server().serve_with_incoming_shutdown(router, incoming, async {
        // Ended by a word or by the sender's end alike.
        let _ = stopped.await;
    });
    Ok(async move {
        if let Err(error) = server.await {
            tracing::error!("{pod}: its socket is no longer served: {error}");
        }
    })
}

/// One of the [`MAX_CONNECTIONS`].
type Place = OwnedSemaphorePermit;

impl Visit for Place {
    type Info = ();

    fn info(&self) {}

    fn poll_over(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

type Incoming = io::Result<Connection<UnixStream, Place>>;

/// Accepts connections for as long as somebody takes them.
fn accept(listener: tokio::net::UnixListener) -> ReceiverStream<Incoming> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = accept_all(&listener, &sender) => {}
        }
    });
    ReceiverStream::new(receiver)
}

async fn accept_all(listener: &tokio::net::UnixListener, sender: &mpsc::Sender<Incoming>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Whoever comes beyond that waits in the kernel's backlog.
    while let Ok(visit) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                if sender.send(Ok(Connection { stream, visit })).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!("accepting a sidecar's connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
