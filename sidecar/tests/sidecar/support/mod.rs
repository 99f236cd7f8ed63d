//! What the tests are built from.

mod agent;
mod app;
mod canned;
mod front;
mod line;
mod load;
mod pod;
mod policy;

use std::time::Duration;

pub(crate) use agent::{Agent, Kind};
pub(crate) use app::{LineServer, silent_port};
pub(crate) use canned::Canned;
pub(crate) use front::{Authority, Front};
pub(crate) use load::{Load, Recorder};
pub(crate) use pod::{Client, Pod, ask, get};
pub(crate) use policy::{CLIENT, anybody, egress, hosts, l4, l7, policy, unknown, unrestricted};

/// No condition of these tests takes so long, on any machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `work`, which must not take for ever.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Asks again and again until `condition` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    within(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
