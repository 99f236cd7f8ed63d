//! What the endpoints of one process have in common: a sidecar has one of
//! them, a node's proxy one for each pod.

use std::sync::Arc;

use remora_parsers::Registry;

use crate::{
    access_log::{AccessLog, Clerk, Options, Sink},
    config::Config,
    errors::StartError,
    limits::{Commons, Descriptors, Memory, Room},
    relay::Pipes,
};

/// What this process has, for its endpoints.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) registry: Registry,
    pub(crate) commons: Arc<Commons>,
    pub(crate) pipes: Pipes,
    clerk: Arc<Clerk>,
    /// What there is for one endpoint, whatever its own limits are.
    room: Room,
}

impl Process {
    /// Of a sidecar, which serves one endpoint.
    ///
    /// # Errors
    /// There can be no thread for the access log.
    pub(crate) fn of_one(
        registry: Registry,
        options: &Options,
        sink: Sink,
    ) -> Result<Self, StartError> {
        Self::with(registry, options, sink, |_| Commons::alone())
    }

    /// Of a node's proxy, whose endpoints share what there is.
    ///
    /// # Errors
    /// There can be no thread for the access log.
    pub(crate) fn of_many(
        registry: Registry,
        options: &Options,
        sink: Sink,
    ) -> Result<Self, StartError> {
        Self::with(registry, options, sink, |room| Commons::shared(room.connections, room.held))
    }

    fn with(
        registry: Registry,
        options: &Options,
        sink: Sink,
        commons: impl FnOnce(&Room) -> Commons,
    ) -> Result<Self, StartError> {
        let descriptors = Descriptors::claim();
        let held = Memory::of_this_process().for_connections().unwrap_or(usize::MAX);
        let room = Room { connections: descriptors.connections, per_source: usize::MAX, held };
        Ok(Self {
            registry,
            commons: Arc::new(commons(&room)),
            pipes: Pipes::new(descriptors.pipes),
            clerk: Clerk::start(options, sink).map_err(StartError::AccessLog)?,
            room,
        })
    }

    /// Room for an endpoint: what its limits allow of what there is.
    pub(crate) fn room(&self, config: &Config) -> Room {
        let limits = &config.limits;
        Room {
            connections: limits.connections.min(self.room.connections),
            per_source: limits.per_source.min(self.room.per_source),
            held: limits.held.min(self.room.held),
        }
    }

    /// The access log of an endpoint.
    pub(crate) fn log(&self, config: &Config) -> AccessLog {
        AccessLog::new(&self.clerk, &config.pod, &config.access_log, self.registry)
    }

    /// Follows what all endpoints depend on; for ever.
    pub(crate) async fn watch(&self) {
        Memory::of_this_process().watch(Arc::clone(&self.commons)).await;
    }

    /// Waits until what was logged so far is written, but not for ever.
    pub(crate) async fn flush(&self) {
        self.clerk.flush().await;
    }
}
