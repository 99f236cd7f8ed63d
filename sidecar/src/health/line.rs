//! One probe. At most one call of it is in flight, whose result all share who
//! ask meanwhile: however many ask, the app is asked no oftener than it answers.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::header::HeaderValue;
use tokio::sync::watch;

use super::call::{self, Verdict};
use crate::{
    config::{Kind, Probe},
    network::Network,
};

/// What all who ask wait for: nothing until the call is over.
type Result = watch::Sender<Option<Verdict>>;

/// A probe, and its call in flight.
#[derive(Debug)]
pub(super) struct Line {
    probe: Arc<Probe>,
    network: Network,
    in_flight: Mutex<Weak<Result>>,
}

impl Line {
    /// A probe of the pod with this network.
    pub(super) fn new(probe: &Probe, network: &Network) -> Self {
        let (probe, network) = (Arc::new(probe.clone()), network.clone());
        Self { probe, network, in_flight: Mutex::default() }
    }

    pub(super) fn kind(&self) -> Kind {
        self.probe.kind
    }

    /// What the app says; `agent` is who asks it.
    pub(super) async fn ask(&self, agent: HeaderValue) -> Verdict {
        loop {
            let mut result = self.join(&agent);
            if let Ok(verdict) = result.wait_for(Option::is_some).await
                && let Some(verdict) = verdict.as_ref()
            {
                return verdict.clone();
            }
            // Those who had begun it left just as we came.
        }
    }

    /// Joins the call in flight, or begins one.
    fn join(&self, agent: &HeaderValue) -> watch::Receiver<Option<Verdict>> {
        // Nothing panics while it is held.
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = in_flight.upgrade() {
            return result.subscribe();
        }
        let result = Arc::new(Result::new(None));
        let joined = result.subscribe();
        *in_flight = Arc::downgrade(&result);
        let (probe, network) = (Arc::clone(&self.probe), self.network.clone());
        let agent = agent.clone();
        tokio::spawn(async move {
            tokio::select! {
                verdict = call::make(&probe, &network, &agent) => {
                    result.send_replace(Some(verdict));
                }
                // A hook that takes long is given up with whoever asked for it.
                () = result.closed() => {}
            }
        });
        joined
    }
}
