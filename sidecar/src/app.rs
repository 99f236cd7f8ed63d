//! The sidecar as a whole: bound first, then run until told to stop.

use std::{future::Future, sync::Arc};

use remora_parsers::Registry;
use tokio::task::JoinSet;

use crate::{
    access_log::{self, Sink},
    config::Config,
    endpoint::{Addresses, Endpoint},
    errors::StartError,
    process::Process,
};

/// A sidecar that holds no resources yet.
pub struct App {
    config: Config,
    registry: Registry,
    sink: Sink,
}

/// A sidecar that listens, but serves nobody before it [`run`](Self::run)s.
#[derive(Debug)]
pub struct Bound {
    endpoint: Endpoint,
    process: Arc<Process>,
}

impl App {
    /// A sidecar that parses the registry's protocols and logs to stdout.
    #[must_use]
    pub fn new(config: Config, registry: Registry) -> Self {
        Self { config, registry, sink: access_log::stdout() }
    }

    /// Has the access log go elsewhere, whole lines at a time.
    #[must_use]
    pub fn access_log(self, sink: Sink) -> Self {
        Self { sink, ..self }
    }

    /// Opens the ports, within a tokio runtime.
    ///
    /// # Errors
    /// A [`StartError`] that names what could not be had.
    pub async fn bind(self) -> Result<Bound, StartError> {
        let Self { config, registry, sink } = self;
        let process = Arc::new(Process::of_one(registry, &config.access_log, sink)?);
        let endpoint = Endpoint::open(config, Arc::clone(&process))?;
        Ok(Bound { endpoint, process })
    }
}

impl Bound {
    /// Where it listens: of use where a port of 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        self.endpoint.addresses()
    }

    /// Follows the agent and serves connections until `shutdown`; returns once
    /// the connections in flight have ended or had their time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { endpoint, process } = self;
        let mut watching = JoinSet::new();
        let watched = Arc::clone(&process);
        watching.spawn(async move { watched.watch().await });
        endpoint.run(shutdown).await;
        process.flush().await;
    }
}
