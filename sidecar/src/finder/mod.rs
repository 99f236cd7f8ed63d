//! Keeps the folder of endpoints for a node's proxy: who is to be served, the
//! agent tells; where that pod's network is, the node's processes do.
//!
//! ```text
//! agent ── endpoints of this node ──> book ── a file a pod ──> folder ──> node's proxy
//!                       /proc ── its network ──┘
//! ```
//!
//! Without the agent, everybody stays who was there, and networks are followed
//! all the same. A pod whose network is not found has no file, and is closed.

mod addresses;
mod book;
mod cgroup;
mod folder;
mod search;

use std::{
    future::Future,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use remora_api::endpoints::Endpoint;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use self::{book::Book, folder::Folder, search::Search};
use crate::{agent, config::FinderConfig};

/// How often the networks that are known are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Finds the networks of a node's pods.
#[derive(Debug)]
pub struct Finder {
    config: FinderConfig,
    into: PathBuf,
    snapshots: Option<PathBuf>,
}

/// Why it cannot start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum FinderError {
    /// A folder cannot be read or written.
    #[error("the folder {}: {error}; let user 16006 write there", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The node's processes cannot be looked at.
    #[error("/proc: {0}")]
    Processes(io::Error),
}

impl Finder {
    /// One that keeps the folder `into`, and has endpoints keep their policies
    /// in the folder `snapshots`, if there is one.
    #[must_use]
    pub fn new(config: FinderConfig, into: PathBuf, snapshots: Option<PathBuf>) -> Self {
        Self { config, into, snapshots }
    }

    /// Keeps the folder until `shutdown`, and leaves it as it is then.
    ///
    /// # Errors
    /// A [`FinderError`]; never because of a pod.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), FinderError> {
        let Self { config, into, snapshots } = self;
        let search = Search::new();
        let mut folder = Folder::open(into, snapshots, config.variables())?;
        let mut book = Book::new(folder.earlier());
        let (telling, mut told) = watch::channel(None::<Arc<[Endpoint]>>);
        let mut following = JoinSet::new();
        following.spawn(agent::follow_endpoints(config.agent, config.keepalive, telling));
        tokio::pin!(shutdown);
        let mut taken: Option<Arc<[Endpoint]>> = None;
        loop {
            let latest = told.borrow_and_update().clone();
            let is_taken = latest.as_ref().map(Arc::as_ptr) == taken.as_ref().map(Arc::as_ptr);
            if let Some(endpoints) = latest.as_ref().filter(|_| !is_taken) {
                book.take(endpoints);
            }
            let pause = book.look(&search, &mut folder, Instant::now())?.min(EVERY);
            if !is_taken {
                folder.listed(&book)?;
                taken = latest;
            }
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                // It never ends while this does; if it did, networks are followed all the same.
                Ok(()) = told.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }
}

/// Whether the finder of this folder has been told by the agent of all that there is.
///
/// # Errors
/// What it waits for, in words for `kubectl describe`.
pub fn check(into: &std::path::Path) -> Result<(), String> {
    folder::is_listed(into)
        .then_some(())
        .ok_or_else(|| "the agent has not told of this node's pods yet; see the log".to_owned())
}
