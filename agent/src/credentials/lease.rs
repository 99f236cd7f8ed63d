//! One leader at a time, by a Lease.
//!
//! As Kubernetes' own controllers do it: whoever holds the Lease renews it; the
//! others take it once it has not changed for its whole duration *by their own
//! clock*, so that clocks need not agree. The API server lets one of several win.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Config, LEASE, MANAGER, Owners, explain, is_owned};
use crate::notice::{Journal, Notice, Severity};

/// How the election is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait for a leader that is silent.
    pub duration: Duration,
    /// How long a leader goes on that cannot renew: less than `duration`.
    pub deadline: Duration,
    /// How often it renews, and how often the others look.
    pub retry: Duration,
}

impl Default for Timing {
    /// As Kubernetes' own controllers: 15 s, 10 s, 2 s.
    fn default() -> Self {
        let [duration, deadline, retry] = [15, 10, 2].map(Duration::from_secs);
        Self { duration, deadline, retry }
    }
}

/// A candidate.
#[derive(Debug)]
pub(super) struct Election {
    api: Api<Lease>,
    replica: String,
    owners: Owners,
    timing: Timing,
    /// The Lease as it was last, and since when it has been that.
    seen: Option<(LeaseSpec, Instant)>,
    journal: Journal,
}

impl Election {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            api: Api::namespaced(config.client.clone(), &config.namespace),
            replica: config.replica.clone(),
            owners: config.owners.clone(),
            timing: config.timing,
            seen: None,
            journal: Journal::default(),
        }
    }

    /// Does the work whenever it leads, and only then; `leading` says when that is.
    pub(super) async fn lead<F: Future<Output = ()>>(
        mut self,
        leading: &watch::Sender<bool>,
        work: impl Fn() -> F,
    ) {
        loop {
            let since = Instant::now();
            if !self.attempt().await {
                sleep(self.timing.retry).await;
                continue;
            }
            leading.send_replace(true);
            tracing::info!("leading: this replica keeps the CA and its bundle");
            tokio::select! {
                () = work() => {}
                () = self.keep(since) => {}
            }
            leading.send_replace(false);
            tracing::warn!("no longer leading");
        }
    }

    /// Ends when leading does.
    async fn keep(&mut self, mut since: Instant) {
        loop {
            sleep(self.timing.retry).await;
            let now = Instant::now();
            let left = self.timing.deadline.saturating_sub(now.duration_since(since));
            match timeout(left, self.attempt()).await {
                Ok(true) => since = now,
                Ok(false) if self.seen.as_ref().is_some_and(|seen| !self.is_ours(&seen.0)) => {
                    return;
                }
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    /// Takes or renews the Lease; says whether it is ours now.
    async fn attempt(&mut self) -> bool {
        let outcome = self.try_once().await;
        let failure = outcome.as_ref().err().map(|error| {
            let text = format!(
                "electing a leader by lease {LEASE}: {}; see that the agent's role allows it",
                explain(error)
            );
            Notice::new(Severity::Error, 0, text)
        });
        self.journal.news(failure).iter().for_each(Notice::log);
        outcome.unwrap_or(false)
    }

    async fn try_once(&mut self) -> kube::Result<bool> {
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let Some(mut lease) = self.api.get_opt(LEASE).await? else {
            let owner_references = self.owners.clone();
            let name = Some(LEASE.to_owned());
            let metadata = ObjectMeta { name, owner_references, ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.claim(None)) };
            return won(self.api.create(&params, &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let now = Instant::now();
        let is_same = self.seen.as_ref().is_some_and(|(seen, _)| *seen == spec);
        if !is_same {
            self.seen = Some((spec.clone(), now));
        }
        let is_free = spec.holder_identity.as_deref().is_none_or(str::is_empty);
        if !self.is_ours(&spec) && !is_free && !self.is_silent(&spec, now) {
            return Ok(false);
        }
        lease.spec = Some(self.claim(Some(&spec)));
        if !is_owned(&lease.metadata.owner_references, &self.owners) {
            lease.metadata.owner_references.clone_from(&self.owners);
        }
        // With the version that was read: who else tried in between has won.
        won(self.api.replace(LEASE, &params, &lease).await)
    }

    fn is_ours(&self, spec: &LeaseSpec) -> bool {
        spec.holder_identity.as_deref() == Some(&self.replica)
    }

    /// Whether the holder has said nothing for as long as it promised to.
    fn is_silent(&self, spec: &LeaseSpec, now: Instant) -> bool {
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.timing.duration, Duration::from_secs);
        self.seen.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= duration)
    }

    /// The Lease with our name on it.
    fn claim(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let renewed = before.filter(|before| self.is_ours(before));
        let changes = before.and_then(|before| before.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.replica.clone()),
            // A Lease counts whole seconds, at least one.
            lease_duration_seconds: i32::try_from(self.timing.duration.as_secs().max(1)).ok(),
            acquire_time: Some(
                renewed.and_then(|own| own.acquire_time.clone()).unwrap_or_else(|| now.clone()),
            ),
            renew_time: Some(now),
            lease_transitions: Some(match (before, renewed) {
                (Some(_), None) => changes.saturating_add(1),
                _ => changes,
            }),
            ..before.cloned().unwrap_or_default()
        }
    }
}

/// Somebody else's being first is no error.
fn won(outcome: kube::Result<Lease>) -> kube::Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
