//! What the leader does: a CA that is never missing, never old, and known
//! wherever a sidecar may ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use remora_certs::{Authority, Schedule};
use tokio::sync::watch;

use super::injector::{Followed, Injector};
use super::named::State;
use super::secret::{self, Stored};
use super::{CA, Clock, Config, Owners, bundles, explain};
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
    secrets: watch::Receiver<State<Stored>>,
    namespaces: watch::Receiver<Option<BTreeSet<String>>>,
    owners: Owners,
    injector: Option<(Injector, Followed)>,
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
        secrets: watch::Receiver<State<Stored>>,
        namespaces: watch::Receiver<Option<BTreeSet<String>>>,
    ) -> Self {
        Self {
            client: config.client.clone(),
            namespace: config.namespace.clone(),
            schedule: config.schedule,
            clock: Arc::clone(&config.clock),
            secrets,
            namespaces,
            owners: config.owners.clone(),
            injector: config.injector.as_deref().map(|name| Injector::new(config, name)),
        }
    }

    /// Leads, until it is dropped.
    pub(super) async fn work(&self) {
        let (sender, published) = watch::channel(None);
        let injector = async {
            if let Some((injector, followed)) = &self.injector {
                injector.follow(followed).await;
            }
        };
        let bundles = bundles::follow(self.client.clone(), &self.owners, sender);
        tokio::join!(bundles, injector, self.rounds(published));
    }

    async fn rounds(&self, mut published: watch::Receiver<bundles::Published>) {
        let (mut secrets, mut namespaces) = (self.secrets.clone(), self.namespaces.clone());
        let injector = self.injector.as_ref().map(|(injector, _)| injector);
        let mut leaves = injector.map(|injector| injector.leaves.clone());
        let mut hooks = injector.map(|injector| injector.hooks.clone());
        let mut journal = Journal::default();
        loop {
            let state = secrets.borrow_and_update().clone();
            let wanted = namespaces.borrow_and_update().clone();
            let found = published.borrow_and_update().clone();
            leaves.as_mut().map(watch::Receiver::mark_unchanged);
            hooks.as_mut().map(watch::Receiver::mark_unchanged);
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
                () = any_changed(&mut leaves) => {}
                () = any_changed(&mut hooks) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at everything, and at most one change of the Secret: after it
    /// there is another round, with what was really stored.
    async fn round(
        &self,
        state: &State<Stored>,
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
            Ok(false) if !stored.is_owned(&self.owners) => {
                self.store(&authority, Some(stored), &mut round).await;
                return round;
            }
            Ok(false) => {}
            Err(error) => round.fail(error.to_string()),
        }
        let (is_believed, renew) = self.injector(&authority, now, &mut round).await;
        let (Some(wanted), Some(found)) = (wanted, found) else { return round };
        let is_everywhere = self.publish(&authority.bundle(), wanted, found, &mut round).await;
        if is_everywhere && is_believed && authority.mark_published(now) {
            self.store(&authority, Some(stored), &mut round).await;
        }
        round.due = Some(authority.next_step(&self.schedule)).into_iter().chain(renew).min();
        round
    }

    /// Says whether API servers believe whom this CA vouches for, and when the injector needs
    /// its next certificate.
    async fn injector(
        &self,
        authority: &Authority,
        now: SystemTime,
        round: &mut Round,
    ) -> (bool, Option<SystemTime>) {
        let Some((injector, _)) = &self.injector else { return (true, None) };
        // First the bundle: a certificate that nobody believes yet is of no use.
        let is_believed = injector.publish(&authority.bundle()).await.unwrap_or_else(|error| {
            round.fail(error);
            false
        });
        let due = injector.keep(authority, now, &self.schedule).await;
        (
            is_believed,
            due.unwrap_or_else(|error| {
                round.fail(error);
                None
            }),
        )
    }

    /// Says whether all these namespaces were found to have this bundle. One that has an empty
    /// bundle, as one that nobody owns counts, is given it too, so that none stays behind.
    async fn publish(
        &self,
        bundle: &str,
        wanted: &BTreeSet<String>,
        found: &BTreeMap<String, String>,
        round: &mut Round,
    ) -> bool {
        let mut is_everywhere = true;
        let bare = found.iter().filter(|(_, bundle)| bundle.is_empty());
        let namespaces: BTreeSet<_> =
            wanted.iter().chain(bare.map(|(namespace, _)| namespace)).collect();
        for namespace in namespaces {
            if found.get(namespace).is_some_and(|found| found == bundle) {
                continue;
            }
            match bundles::publish(&self.client, namespace, (bundle, &self.owners)).await {
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
        match secret::write(&self.client, &self.namespace, authority, (before, &self.owners)).await
        {
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

async fn any_changed<T>(receiver: &mut Option<watch::Receiver<T>>) {
    match receiver {
        Some(receiver) => changed(receiver).await,
        None => std::future::pending().await,
    }
}
