//! What the agent proves itself with, kept in Kubernetes.
//!
//! ```text
//! Lease ─▶ one leader ─▶ Secret (CA and key) ─▶ ConfigMap in each namespace (bundle)
//!                            └─▶ every replica: a leaf of its own, in memory ─▶ Serving
//!                            └─▶ the injector's leaf, in a Secret; the bundle in its webhooks
//! ```
//!
//! The leader makes the first CA and each next one, and publishes the bundle;
//! the schedule of `remora_certs` says when. A replica that does not lead reads
//! the Secret and issues its own leaf, whose key is never stored. Two
//! leaders, for the seconds that this can last, do no harm: who writes the
//! Secret second is refused, and only what is in the Secret is published.
//!
//! [`run`] does it all. The account needs, in its own namespace, `create`, and
//! on those named here `list`, `watch` and `update` of secrets (with an injector, also of its
//! own, and `list`, `watch` and `patch` of its webhook configuration), `get` and
//! `update` of leases; in all namespaces `create` of config maps, and `list`,
//! `watch` and `patch` of those named here.

mod bundles;
mod expiries;
mod injector;
mod leader;
mod leaf;
mod lease;
mod named;
mod secret;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::runtime::watcher;
use remora_certs::{Schedule, Serving};
use tokio::sync::watch;

pub use self::expiries::Expiries;
use self::leader::Leader;
use self::leaf::Keeper;
use self::lease::Election;
pub use self::lease::Timing;
use crate::notice::one_line;

/// The name of the Secret with the CA, and of the ConfigMaps with the bundle.
pub const CA: &str = "remora-ca";
/// The bundle's key in these ConfigMaps.
pub const BUNDLE: &str = "ca.crt";
/// The Lease that the leader holds.
pub const LEASE: &str = "remora-agent";
/// Whose fields these are, for the API server.
const MANAGER: &str = "remora-agent";

/// What the credentials are made of.
pub struct Config {
    /// The API server.
    pub client: Client,
    /// The agent's own namespace: there the Secret and the Lease lie.
    pub namespace: String,
    /// This replica's name among the others: its pod's.
    pub replica: String,
    /// The DNS names and addresses that sidecars know the agent by.
    pub names: Vec<String>,
    /// How long certificates last.
    pub schedule: Schedule,
    /// How leaders are elected.
    pub timing: Timing,
    /// The webhook configuration whose `caBundle` is to be kept, and whose Service is to have
    /// a certificate, if that is our affair.
    pub injector: Option<String>,
    /// With whom everything that is made here goes away.
    pub owners: Owners,
    /// Told whether this replica leads, for what else only one is to do.
    pub leading: watch::Sender<bool>,
    /// The time of day.
    pub clock: Clock,
}

/// The owners of an object, as its metadata has them.
pub type Owners = Option<Vec<OwnerReference>>;

/// Whether an object goes away with everybody that it should: one that an agent made which knew
/// of no owner is made ours by writing it again.
fn is_owned(found: &Owners, wanted: &Owners) -> bool {
    let has = |uid: &str| found.iter().flatten().any(|owner| owner.uid == uid);
    wanted.iter().flatten().all(|owner| has(&owner.uid))
}

/// The time of day: [`SystemTime::now`], unless a test makes days pass.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Keeps `serving` supplied with a certificate that sidecars accept, for as long
/// as it is polled, and tells `expiries` how long that lasts. Nothing that goes
/// wrong ends it: it is logged with the remedy and tried again, and what was
/// served before goes on.
///
/// `namespaces` are those that need the bundle; none until all watches are in
/// sync, since a rotation must not go on before it is known who has to hear of it.
pub async fn run(
    config: Config,
    serving: Arc<Serving>,
    namespaces: watch::Receiver<Option<BTreeSet<String>>>,
    expiries: Arc<Expiries>,
) {
    let (stored, secrets) = watch::channel(named::State::Unknown);
    let election = Election::new(&config);
    let leader = Leader::new(&config, secrets.clone(), namespaces);
    let keeper = Keeper { config: &config, serving: &serving, expiries: &expiries };
    tokio::join!(
        secret::follow(config.client.clone(), &config.namespace, stored),
        keeper.keep(secrets),
        election.lead(&config.leading, || leader.work()),
    );
}

/// What the API server said, in one line.
pub(crate) fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => one_line(&format!("{} ({})", status.message, status.code)),
        error => one_line(&error.to_string()),
    }
}

/// What the API server said to a watch.
fn explain_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => explain(error),
        watcher::Error::WatchError(status) => {
            one_line(&format!("{} ({})", status.message, status.code))
        }
        watcher::Error::NoResourceVersion => one_line(&error.to_string()),
    }
}
