//! Keeps the file up to date, without making traffic wait for the disk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remora_api::discovery::DiscoveryResponse;
use tokio::{sync::watch, task::spawn_blocking, time};

use super::{Saved, file};
use crate::metrics::Metrics;

/// How often it is noted that the agent is still heard.
const HEARD: Duration = Duration::from_secs(30);

/// Hands the newest state to the one who writes it.
#[derive(Debug)]
pub(crate) struct Keeper {
    place: Option<Arc<Place>>,
    newest: watch::Sender<Option<Arc<State>>>,
}

/// Whose state goes where.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    pod_uid: String,
    /// The number of the state in force. Whoever moves a file there holds it,
    /// so that none comes to lie there that is outdated already.
    current: Mutex<u64>,
}

/// What came of an agent connection, shared with whoever else keeps it.
#[derive(Debug)]
struct State {
    number: u64,
    policies: Arc<DiscoveryResponse>,
    hosts: Arc<DiscoveryResponse>,
    services: Option<Arc<DiscoveryResponse>>,
}

impl Keeper {
    /// One that keeps this pod's state at `path`, or nothing.
    pub(crate) fn new(path: Option<PathBuf>, pod_uid: &str) -> Self {
        let pod_uid = pod_uid.to_owned();
        let place = path.map(|path| Arc::new(Place { path, pod_uid, current: Mutex::new(0) }));
        Self { place, newest: watch::Sender::new(None) }
    }

    /// This is in force now. What was saved before is gone when this returns:
    /// until the new state is written, a restart finds nothing.
    pub(crate) fn supersede(
        &self,
        policies: &Arc<DiscoveryResponse>,
        hosts: &Arc<DiscoveryResponse>,
        services: Option<&Arc<DiscoveryResponse>>,
    ) {
        let Some(place) = &self.place else { return };
        let (policies, hosts) = (Arc::clone(policies), Arc::clone(hosts));
        let state = State { number: place.outdate(), policies, hosts, services: services.cloned() };
        self.newest.send_replace(Some(Arc::new(state)));
    }

    /// Writes the newest state whenever there is one, for ever.
    pub(crate) async fn run(&self, metrics: Arc<Metrics>) {
        let Some(place) = &self.place else { return };
        let mut states = self.newest.subscribe();
        // What came before this began counts as well.
        states.mark_changed();
        let mut heard = time::interval(HEARD);
        loop {
            tokio::select! {
                changed = states.changed() => {
                    let state = states.borrow_and_update().clone();
                    if changed.is_err() {
                        return;
                    }
                    let Some(state) = state else { continue };
                    let place = Arc::clone(place);
                    let writing = spawn_blocking(move || (place.write(&state), place));
                    let Ok((written, place)) = writing.await else { continue };
                    report(&metrics, &place.path, written);
                }
                _ = heard.tick(), if metrics.is_connected() => {
                    let path = place.path.clone();
                    // Where it fails, the file only looks older than it is.
                    let _ = spawn_blocking(move || file::touch(&path)).await;
                }
            }
        }
    }
}

impl Place {
    /// Removes what is there, and returns the number of the state that follows.
    fn outdate(&self) -> u64 {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = current.wrapping_add(1);
        if let Err(error) = file::remove(&self.path) {
            tracing::error!(%error, path = %self.path.display(), "an outdated snapshot stays");
        }
        *current
    }

    fn write(&self, state: &State) -> io::Result<()> {
        // Copied for as long as it takes to write it.
        let saved = Saved {
            pod_uid: self.pod_uid.clone(),
            policies: state.policies.as_ref().clone(),
            hosts: state.hosts.as_ref().clone(),
            services: state.services.as_deref().cloned(),
        };
        let bytes = saved.to_bytes();
        drop(saved);
        file::write(&self.path, &bytes, |place| {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if *current == state.number { place() } else { Ok(()) }
        })
    }
}

fn report(metrics: &Metrics, path: &Path, written: io::Result<()>) {
    metrics.snapshot_saved(written.is_ok());
    if let Err(error) = written {
        tracing::warn!(
            %error, path = %path.display(),
            "the policy in force is not saved: a restart without the agent would deny everything"
        );
    }
}
