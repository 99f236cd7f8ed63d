//! The webhook as a whole: its ports, and the tasks behind them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use remora_certs::Serving;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::certificate::{self, Expiry};
use super::counters::Counters;
use super::desk::Desk;
use super::events::{Mailbox, deliver};
use super::options::{EXIT_SOFTWARE, EXIT_UNAVAILABLE, EXIT_USAGE};
use super::pages::{self, Page};
use super::reconcile::{self, Ledger};
use super::server;
use crate::admission::Install;

/// How long the API server may take to take a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may be silent: longer than a watch lasts.
const SILENCE: Duration = Duration::from_secs(310);

/// What a webhook needs to know.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// The installation's namespace.
    pub namespace: String,
    /// This replica's name.
    pub replica: String,
    /// Where API servers call.
    pub listen: SocketAddr,
    /// Where `/metrics` is.
    pub metrics: SocketAddr,
    /// Where `/readyz` and `/livez` are.
    pub health: SocketAddr,
    /// The Secret with its certificate, in the installation's namespace.
    pub secret: String,
    /// What is put into pods.
    pub install: Install,
}

/// Why the webhook does not start, or a task beside it fails.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The flags do not go together.
    #[error("{0}")]
    Usage(String),
    /// There is no API server to talk to, or it refuses.
    #[error("API server: {0}; see the service account and its role, or what KUBECONFIG names")]
    ApiServer(String),
    /// An address cannot be listened at.
    #[error("{address}: {error}; give another one with --listen, --metrics or --health")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The server cannot speak TLS.
    #[error("TLS cannot be set up: {0}; this is a bug")]
    Tls(String),
}

impl StartError {
    /// The exit status that goes with it.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Listen { .. } => EXIT_USAGE,
            Self::ApiServer(_) => EXIT_UNAVAILABLE,
            Self::Tls(_) => EXIT_SOFTWARE,
        }
    }
}

/// The webhook.
#[derive(Debug)]
pub struct App;

/// A webhook that serves.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    server: JoinSet<()>,
    /// Where it is called, as the system gave it.
    pub address: SocketAddr,
}

/// What the pages show.
struct View {
    counters: Arc<Counters>,
    expiry: Arc<Expiry>,
    ledger: Arc<Ledger>,
}

impl App {
    /// A client for the API server that the environment names.
    ///
    /// # Errors
    /// It names none.
    pub async fn client() -> Result<Client, StartError> {
        let no_server = |error: &dyn std::fmt::Display| StartError::ApiServer(error.to_string());
        let mut config = kube::Config::infer().await.map_err(|error| no_server(&error))?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        Client::try_from(config).map_err(|error| no_server(&error))
    }

    /// Starts a webhook in the current runtime. It is ready once it has a certificate.
    ///
    /// # Errors
    /// A [`StartError`] with cause and remedy.
    pub async fn start(config: WebhookConfig, client: Client) -> Result<Running, StartError> {
        let reviews = listen(config.listen).await?;
        let address = reviews.local_addr().unwrap_or(config.listen);
        let (metrics, health) = (listen(config.metrics).await?, listen(config.health).await?);
        let serving: Arc<Serving> = Arc::default();
        let tls = remora_certs::https_config(Arc::clone(&serving))
            .map_err(|error| StartError::Tls(error.to_string()))?;
        let view = Arc::new(View {
            counters: Arc::default(),
            expiry: Arc::default(),
            ledger: Arc::new(Ledger::new(&config.namespace)),
        });
        let (mailbox, stories) = Mailbox::new();
        let counters = || Arc::clone(&view.counters);
        let mut tasks = JoinSet::new();
        let own = Arc::clone(&view);
        tasks.spawn(pages::serve(metrics, move |path| own.metrics(path)));
        let own = Arc::clone(&view);
        tasks.spawn(pages::serve(health, move |path| own.health(path)));
        tasks.spawn(deliver(client.clone(), config.replica, stories, counters()));
        let ledger = Arc::clone(&view.ledger);
        tasks.spawn(reconcile::run(client.clone(), ledger, mailbox.clone(), counters()));
        let expiry = Arc::clone(&view.expiry);
        let (namespace, secret) = (config.namespace, config.secret);
        tasks.spawn(async move {
            certificate::follow(client, (&namespace, &secret), &serving, &expiry).await;
        });
        let desk = Arc::new(Desk::new(config.install, counters(), mailbox));
        let (stop, stopping) = watch::channel(false);
        let mut server = JoinSet::new();
        server.spawn(server::serve(reviews, tls, desk, stopping));
        tracing::info!("answering reviews at {address}");
        Ok(Running { stop, tasks, server, address })
    }
}

impl Running {
    /// Waits until a part of it ends, which none does by itself: a bug.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.tasks.join_next() => {}
            _ = self.server.join_next() => {}
        }
    }

    /// Takes no connection any more, and lets what is under way end.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.server.join_next().await.is_some() {}
        self.tasks.shutdown().await;
    }
}

impl View {
    fn health(&self, path: &str) -> Page {
        match path {
            "/livez" => Some(Ok("alive\n".to_owned())),
            "/readyz" => Some(match self.expiry.problem(SystemTime::now()) {
                None => Ok("ready\n".to_owned()),
                Some(problem) => Err(format!("{problem}\n")),
            }),
            _ => None,
        }
    }

    fn metrics(&self, path: &str) -> Page {
        let mut text = String::new();
        if path == "/metrics" {
            self.counters.render(&mut text);
            self.expiry.render(&mut text);
            self.ledger.render(&mut text);
        }
        (path == "/metrics").then_some(Ok(text))
    }
}

/// A listener at this address; of IPv4 alone where the system has no IPv6.
async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let outcome = match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        outcome => outcome,
    };
    outcome.map_err(|error| StartError::Listen { address, error })
}
