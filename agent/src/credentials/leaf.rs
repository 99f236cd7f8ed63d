//! This replica's own certificate.

use std::time::{Duration, SystemTime};

use remora_certs::{Leaf, Serving};
use tokio::sync::watch;

use super::named::State;
use super::secret::Stored;
use super::{Config, Expiries};

/// How long to wait at most before looking at the clock again: it may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What is being served.
struct Served {
    /// The CA that issued it.
    ca: String,
    leaf: Leaf,
}

/// Who sees to it that there is one.
pub(super) struct Keeper<'a> {
    pub(super) config: &'a Config,
    pub(super) serving: &'a Serving,
    pub(super) expiries: &'a Expiries,
}

impl Keeper<'_> {
    /// Serves a leaf of the active CA, always.
    pub(super) async fn keep(&self, mut secrets: watch::Receiver<State<Stored>>) {
        let mut served: Option<Served> = None;
        loop {
            let state = secrets.borrow_and_update().clone();
            let now = (self.config.clock)();
            if let Some(next) = self.renew(&state, served.as_ref(), now) {
                self.serving.set(next.leaf.certified());
                served = Some(next);
            }
            let due = served.as_ref().map_or(LOOK_AGAIN, |served| {
                served.leaf.renew_at().duration_since(now).unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)
            });
            tokio::select! {
                changed = secrets.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(due) => {}
            }
        }
    }

    /// The next leaf, if one is due. What stands in the way of one is told; what
    /// is served until then goes on.
    fn renew(
        &self,
        state: &State<Stored>,
        served: Option<&Served>,
        now: SystemTime,
    ) -> Option<Served> {
        let State::Present(stored) = state else { return None };
        let authority = stored.authority().map_err(|error| tell(&error)).ok()?;
        let ca = authority.active().certificate();
        if served.is_some_and(|served| served.ca == ca && now < served.leaf.renew_at()) {
            return None;
        }
        let issued = authority.issue(&self.config.names, now, &self.config.schedule);
        let leaf = issued.map_err(|error| tell(&error)).ok()?;
        self.expiries.set(authority.active().not_after(), leaf.not_after());
        tracing::info!("serving a new certificate for {}", self.config.names.join(", "));
        Some(Served { ca: ca.to_owned(), leaf })
    }
}

fn tell(error: &remora_certs::Error) {
    tracing::error!("{error}; sidecars are served with the last certificate while it lasts");
}
