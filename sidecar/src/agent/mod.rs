//! The agent's client: keeps one connection with both discovery streams, and
//! makes a new one when it ends. What is in force stays so meanwhile.

mod backoff;
mod connection;
mod dial;
mod exchange;
mod resolve;
mod token;

use std::{error::Error as StdError, sync::Arc, time::Duration};

use remora_parsers::Registry;

use self::{backoff::Backoff, connection::Disconnected, exchange::Exchange};
use crate::{
    config::{Agent, Config},
    metrics::Metrics,
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
) {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LAST);
    loop {
        let exchange =
            Exchange::new(&config.pod, registry, Arc::clone(&store), Arc::clone(&metrics));
        let attempted = Arc::clone(&config);
        // A task of its own: what a broken slice might do to us ends with it.
        let attempt = tokio::spawn(async move { connection::run(&attempted, exchange).await });
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
