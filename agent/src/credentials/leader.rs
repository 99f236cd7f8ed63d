//! What the leader does: a CA that is never missing, never old, and known
//! wherever a sidecar may ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use remora_certs::{Authority, Schedule};
use tokio::sync::watch;

use super::secret::{self, State, Stored};
use super::{CA, Clock, Config, bundles, explain};
use crate::notice::{Journal, Notice, Severity};

/// How long until something is tried again that the API server refused.
const RETRY: Duration = Duration::from_secs(5);
/// How long to wait at most before looking at the clock again: it may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The leader's tools.
pub(super) struct Leader {
    client: Client,
    namespace: String,
    schedule: Schedule,
    clock: Clock,
    secrets: watch::Receiver<State>,
    namespaces: watch::Receiver<Option<BTreeSet<String>>>,
}

/// What one round came to.
#[derive(Default)]
struct Round {
    failures: Vec<Notice>,
    /// When the next step of the rotation is due.
    due: Option<SystemTime>,
}

impl Leader {
    pub(super) fn new(
        config: &Config,
        secrets: watch::Receiver<State>,
        namespaces: watch::Receiver<Option<BTreeSet<String>>>,
    ) -> Self {
        Self {
            client: config.client.clone(),
            namespace: config.namespace.clone(),
            schedule: config.schedule,
            clock: Arc::clone(&config.clock),
            secrets,
            namespaces,
        }
    }

    /// Leads, until it is dropped.
    pub(super) async fn work(&self) {
        let (sender, published) = watch::channel(None);
        tokio::join!(bundles::follow(self.client.clone(), sender), self.rounds(published));
    }

    async fn rounds(&self, mut published: watch::Receiver<bundles::Published>) {
        let (mut secrets, mut namespaces) = (self.secrets.clone(), self.namespaces.clone());
        let mut journal = Journal::default();
        loop {
            let state = secrets.borrow_and_update().clone();
            let wanted = namespaces.borrow_and_update().clone();
            let found = published.borrow_and_update().clone();
            let round = self.round(&state, wanted.as_ref(), found.as_ref()).await;
            let has_failed = !round.failures.is_empty();
            journal.news(round.failures).iter().for_each(Notice::log);
            let until_due = round
                .due
                .map_or(LOOK_AGAIN, |due| due.duration_since((self.clock)()).unwrap_or(RETRY));
            let pause = if has_failed { RETRY } else { until_due.min(LOOK_AGAIN) };
            tokio::select! {
                changed = secrets.changed() => if changed.is_err() { return },
                // Without a sender nothing changes any more, which is no reason to stop.
                () = changed(&mut namespaces) => {}
                () = changed(&mut published) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at everything, and at most one change of the Secret: after it
    /// there is another round, with what was really stored.
    async fn round(
        &self,
        state: &State,
        wanted: Option<&BTreeSet<String>>,
        found: Option<&BTreeMap<String, String>>,
    ) -> Round {
        let mut round = Round::default();
        let now = (self.clock)();
        let stored = match state {
            State::Unknown => return round,
            State::Absent => {
                match Authority::generate(now, &self.schedule) {
                    Ok(authority) => {
                        tracing::info!("secret {}/{CA}: making the first CA", self.namespace);
                        self.store(&authority, None, &mut round).await;
                    }
                    Err(error) => round.fail(error.to_string()),
                }
                return round;
            }
            State::Present(stored) => stored,
        };
        // Never replaced in silence: every sidecar trusts what it replaces.
        let mut authority = match stored.authority() {
            Ok(authority) => authority,
            Err(error) => {
                round.fail(format!("{error}, or delete the secret for a new CA"));
                return round;
            }
        };
        match authority.step(now, &self.schedule) {
            Ok(true) => {
                tracing::info!("secret {}/{CA}: the CA's rotation goes on", self.namespace);
                self.store(&authority, Some(stored), &mut round).await;
                return round;
            }
            Ok(false) => {}
            Err(error) => round.fail(error.to_string()),
        }
        let (Some(wanted), Some(found)) = (wanted, found) else { return round };
        let is_everywhere = self.publish(&authority.bundle(), wanted, found, &mut round).await;
        if is_everywhere && authority.mark_published(now) {
            self.store(&authority, Some(stored), &mut round).await;
        }
        round.due = Some(authority.next_step(&self.schedule));
        round
    }

    /// Says whether all these namespaces were found to have this bundle.
    async fn publish(
        &self,
        bundle: &str,
        wanted: &BTreeSet<String>,
        found: &BTreeMap<String, String>,
        round: &mut Round,
    ) -> bool {
        let mut is_everywhere = true;
        for namespace in wanted {
            if found.get(namespace).is_some_and(|found| found == bundle) {
                continue;
            }
            match bundles::publish(&self.client, namespace, bundle).await {
                // It counts once the watch has seen it.
                Ok(()) => is_everywhere = false,
                Err(error) if bundles::is_leaving(&error) => {}
                Err(error) => {
                    is_everywhere = false;
                    let error = explain(&error);
                    round.fail(format!(
                        "config map {namespace}/{CA}: {error}; sidecars there do not reach the agent until it can be written: see that the agent's role allows it"
                    ));
                }
            }
        }
        is_everywhere
    }

    async fn store(&self, authority: &Authority, before: Option<&Stored>, round: &mut Round) {
        match secret::write(&self.client, &self.namespace, authority, before).await {
            Ok(()) => {}
            // Another leader was first: the watch will tell.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => round.fail(format!(
                "secret {}/{CA}: {}; see that the agent's role allows it",
                self.namespace,
                explain(&error)
            )),
        }
    }
}

impl Round {
    fn fail(&mut self, text: String) {
        self.failures.push(Notice::new(Severity::Error, 0, text));
    }
}

async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
