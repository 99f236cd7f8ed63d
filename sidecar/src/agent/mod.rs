//! The agent's client: keeps one connection with both discovery streams, and
//! makes a new one when it ends. What is in force stays so meanwhile.

mod backoff;
mod connection;
mod dial;
mod endpoints;
mod exchange;
mod resolve;
mod token;

use std::{error::Error as StdError, sync::Arc, time::Duration};

use remora_parsers::Registry;
use tracing::Instrument as _;

pub(crate) use self::endpoints::follow as follow_endpoints;
use self::{backoff::Backoff, connection::Disconnected, exchange::Exchange};
use crate::{
    config::{Agent, Config},
    metrics::Metrics,
    saved::{self, Keeper, Refusal},
    snapshot::Store,
};

/// Pause after a first failed attempt.
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// Pause after many.
const RETRY_LAST: Duration = Duration::from_secs(3);

/// Follows the agent for ever.
pub(crate) async fn follow(
    config: Arc<Config>,
    registry: Registry,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    keeper: Arc<Keeper>,
) {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LAST);
    loop {
        let exchange = Exchange::new(
            &config.pod,
            registry,
            Arc::clone(&store),
            Arc::clone(&metrics),
            Some(Arc::clone(&keeper)),
        );
        let attempted = Arc::clone(&config);
        // A task of its own: what a broken slice might do to us ends with it.
        let attempt = async move { connection::run(&attempted, exchange).await };
        let attempt = tokio::spawn(attempt.in_current_span());
        let _abort = AbortOnDrop(attempt.abort_handle());
        let lived = match attempt.await {
            Ok(Disconnected { applied, why }) => {
                disconnected(&store, &config.agent, &why);
                applied
            }
            Err(panic) => {
                metrics.connected(false);
                disconnected(&store, &config.agent, &panic.to_string());
                false
            }
        };
        if lived {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Puts in force what an earlier sidecar of this pod has saved, if that is
/// still to be trusted. It is taken as if an agent had just sent it.
pub(crate) fn restore(
    config: &Config,
    registry: Registry,
    store: &Arc<Store>,
    metrics: &Arc<Metrics>,
) {
    let Some(path) = &config.snapshot else { return };
    let loaded = saved::load(path, &config.pod.uid, config.snapshot_age);
    let restored = loaded.and_then(|saved| {
        let Some(saved) = saved else { return Ok(false) };
        let (store, metrics) = (Arc::clone(store), Arc::clone(metrics));
        let mut exchange = Exchange::new(&config.pod, registry, store, metrics, None);
        exchange.replay(saved).map(|()| true).map_err(Refusal::Policy)
    });
    match restored {
        Ok(true) => {
            let version = &store.load().version;
            tracing::warn!(%version, "the last policy that was saved is in force until the agent answers");
        }
        Ok(false) => {}
        Err(why) => {
            metrics.snapshot_refused();
            let path = path.display();
            tracing::warn!(%why, %path, "the saved policy is refused: everything is denied until the agent answers");
            store.remark(format!("the saved policy {path} is refused: {why}"));
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn disconnected(store: &Store, agent: &Agent, why: &str) {
    waits(store, agent, why);
    tracing::warn!(%agent, why, "no connection to the agent; the last policy stays");
}

/// Says what the first policy waits for, to whoever asks for readiness.
fn waits(store: &Store, agent: &Agent, why: &str) {
    store.waits(format_args!("waiting for the first policy from {agent}: {why}"));
}

/// An error with its causes: gRPC's own say little.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
