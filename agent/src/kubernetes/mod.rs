//! The agent on Kubernetes: watches the API server, serves sidecars over TLS.
//!
//! ```text
//! watches ─changes▶ judge (a thread, the world) ─┬─slices▶ server ─▶ sidecars
//!                                                ├─states▶ reporter ─▶ status, Events
//!                                                └─namespaces▶ credentials ─▶ CA bundle
//! ```
//!
//! Nothing is told before every kind has been listed once. After that a watch
//! that does not work leaves everything as it is known, and says so.

mod definition;
mod definitions;
mod groups;
mod health;
mod judge;
mod kinds;
mod metrics;
mod owners;
mod policies;
mod reporter;
mod status;
#[cfg(test)]
mod tests;
mod troubles;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use remora_certs::Serving;
use remora_parsers::Registry;
use remora_policy::{PolicyKind, Prefix};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch as channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::health::Answer;
use self::judge::{Judge, Outlook};
use self::reporter::Reporter;
use self::troubles::{Troubles, chain};
use self::watch::Watches;
use crate::app::{Running, StartError};
use crate::credentials::{self, Expiries, Owners};
use crate::server::{Counters, tcp};
use crate::world::World;

/// How long the first listing of everything may take.
const SYNC: Duration = Duration::from_secs(45);
/// How long the API server may take to take a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may be silent: longer than a watch lasts.
const SILENCE: Duration = Duration::from_secs(310);
/// Changes that wait for the judge. Beyond it the watches wait.
const CHANGES: usize = 4096;

/// What an agent on Kubernetes needs to know.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The agent's own namespace, and that of its Service.
    pub namespace: String,
    /// This replica's name among the others: its pod's.
    pub replica: String,
    /// Where sidecars are served.
    pub listen: SocketAddr,
    /// Where `/metrics` is.
    pub metrics: SocketAddr,
    /// Where `/readyz` and `/livez` are.
    pub health: SocketAddr,
    /// The webhook configuration of the injector, if its certificate is our affair.
    pub injector: Option<String>,
    /// The ClusterRole with which everything that the agent makes goes away.
    pub owner: Option<String>,
    /// The service account of the proxies of nodes, if there are any.
    pub node_account: Option<tcp::NodeAccount>,
    /// The cluster's addresses besides those that its nodes tell.
    pub ranges: Vec<Prefix>,
    /// The protocols that policies may name.
    pub registry: Registry,
}

/// What the ports for people and machines look at.
struct View {
    outlook: Outlook,
    troubles: Arc<Troubles>,
    serving: Arc<Serving>,
    counters: Arc<Counters>,
    expiries: Arc<Expiries>,
}

/// Starts an agent with the API server that the environment names: the pod's
/// service account, or `KUBECONFIG`.
///
/// # Errors
/// A [`StartError`] with cause and remedy.
pub(crate) async fn start(config: ClusterConfig) -> Result<Running, StartError> {
    let client = client().await.map_err(StartError::ApiServer)?;
    start_with(config, client).await
}

async fn client() -> Result<Client, String> {
    let mut config = kube::Config::infer().await.map_err(|error| chain(&error))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    Client::try_from(config).map_err(|error| chain(&error))
}

/// Starts an agent with this API server. It is in sync when this returns.
async fn start_with(config: ClusterConfig, client: Client) -> Result<Running, StartError> {
    let health = listen(config.health).await?;
    let metrics = listen(config.metrics).await?;
    let sidecars = listen(config.listen).await?;
    let mut world = World::of_cluster(config.registry, config.ranges.clone());
    if let Some(account) = &config.node_account {
        world = world.with_bundle_in(&account.namespace);
    }
    let (judge, mut outlook) = Judge::new(world);
    let (changes, received) = mpsc::channel(CHANGES);
    judge.start(received).map_err(|_| StartError::Watch)?;
    let view = Arc::new(View {
        outlook: outlook.clone(),
        troubles: Arc::default(),
        serving: Arc::default(),
        counters: Arc::default(),
        expiries: Arc::default(),
    });
    let mut tasks = JoinSet::new();
    let own = Arc::clone(&view);
    tasks.spawn(health::serve(health, move |path| own.health(path)));
    let own = Arc::clone(&view);
    tasks.spawn(health::serve(metrics, move |path| own.metrics(path)));
    let troubles = Arc::clone(&view.troubles);
    let registry = config.registry;
    watch(&mut tasks, &Watches { client: client.clone(), registry, changes, troubles });
    match timeout(SYNC, outlook.slices.wait_for(Option::is_some)).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return Err(StartError::Watch),
        Err(_) => return Err(StartError::Sync(view.unready().unwrap_or_default())),
    }
    let owners = owners::find(&client, config.owner.as_deref()).await;
    credit(&mut tasks, (&config, owners), &client, &view);
    let server = tcp::Config {
        tls: remora_certs::server_config(Arc::clone(&view.serving))
            .map_err(|error| StartError::Tls(error.to_string()))?,
        reviews: tcp::TokenReviews::new(client),
        limits: tcp::Limits::default(),
        counters: Arc::clone(&view.counters),
        node_account: config.node_account,
    };
    let pods = outlook.slices.borrow().as_deref().map_or(0, BTreeMap::len);
    let policies = outlook.policies.borrow().as_deref().map_or(0, <[_]>::len);
    tracing::info!("in sync: {pods} pods with a sidecar, {policies} policies");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(server, sidecars, outlook, tasks, stopped));
    Ok(Running::of_cluster(stop, task))
}

/// Serves until `stopped` ends, or a part of the agent does.
async fn serve(
    server: tcp::Config,
    sidecars: TcpListener,
    outlook: Outlook,
    mut tasks: JoinSet<()>,
    stopped: oneshot::Receiver<()>,
) {
    let stopped = async {
        // Ended by a word or by the sender's end alike.
        let _: Result<(), _> = stopped.await;
    };
    tokio::select! {
        outcome = tcp::serve(server, sidecars, outlook.slices, stopped) => {
            if let Err(error) = outcome {
                tracing::error!("sidecars are no longer served: {error}");
            }
        }
        Some(ended) = tasks.join_next() => {
            tracing::error!("a task of the agent ended, which is a bug: {ended:?}; sidecars keep what they have");
        }
    }
    tasks.shutdown().await;
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |error: io::Error| StartError::Listen { address, error };
    health::listen(address).await.map_err(failed)
}

/// Follows everything.
fn watch(tasks: &mut JoinSet<()>, watches: &Watches) {
    for kind in kinds::BUILT_IN {
        let watches = watches.clone();
        tasks.spawn(async move { watches.follow(kind).await });
    }
    let groups = watches.clone();
    tasks.spawn(async move { groups.follow_groups().await });
    for kind in PolicyKind::ALL {
        let watches = watches.clone();
        tasks.spawn(async move { watches.follow_policies(kind).await });
    }
}

/// Keeps the certificates, and tells authors about their policies as long as
/// this replica leads.
fn credit(
    tasks: &mut JoinSet<()>,
    (config, owners): (&ClusterConfig, Owners),
    client: &Client,
    view: &Arc<View>,
) {
    let (leading, leads) = channel::channel(false);
    let credentials = credentials::Config {
        client: client.clone(),
        namespace: config.namespace.clone(),
        replica: config.replica.clone(),
        names: vec![format!("remora-agent.{}.svc", config.namespace)],
        schedule: remora_certs::Schedule::default(),
        timing: credentials::Timing::default(),
        injector: config.injector.clone(),
        owners,
        leading,
        clock: Arc::new(std::time::SystemTime::now),
    };
    tasks.spawn(credentials::run(
        credentials,
        Arc::clone(&view.serving),
        view.outlook.namespaces.clone(),
        Arc::clone(&view.expiries),
    ));
    tasks.spawn(Reporter::new(client.clone()).run(view.outlook.policies.clone(), leads));
}

impl View {
    fn health(&self, path: &str) -> Option<Answer> {
        match path {
            "/livez" => Some(Answer::good("alive\n")),
            "/readyz" => Some(match self.unready() {
                None => Answer::good("ready\n"),
                Some(reason) => Answer::bad(format!("{reason}\n")),
            }),
            _ => None,
        }
    }

    fn metrics(&self, path: &str) -> Option<Answer> {
        let policies = self.outlook.policies.borrow().clone().unwrap_or_default();
        let render = || metrics::render(&self.counters, &self.expiries, &policies);
        (path == "/metrics").then(|| Answer::good(render()))
    }

    /// Why nobody is served yet. Once somebody is, that stays so: sidecars that
    /// were sent away would find no better agent.
    fn unready(&self) -> Option<String> {
        if self.outlook.slices.borrow().is_none() {
            let pending: Vec<_> = self
                .outlook
                .pending
                .borrow()
                .iter()
                .map(|kind| kinds::resource(*kind).plural)
                .collect();
            let troubles = self.troubles.to_string();
            let why =
                if troubles.is_empty() { "the API server has not answered" } else { &troubles };
            return Some(format!("not listed yet: {}: {why}", pending.join(", ")));
        }
        let is_set = self.serving.is_set();
        (!is_set)
            .then(|| format!("no certificate yet: see the log about Secret {}", credentials::CA))
    }
}
