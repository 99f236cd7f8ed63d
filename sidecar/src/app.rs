//! The sidecar as a whole: bound first, then run until told to stop.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};

use remora_parsers::Registry;
use remora_policy::TrafficDirection;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    access_log::{self, AccessLog, Sink},
    admin, agent,
    config::Config,
    drain,
    errors::StartError,
    health::{self, Health},
    limits::{Descriptors, Ledger, Memory, Room},
    metrics::{self, Metrics},
    relay::Pipes,
    saved::Keeper,
    snapshot::Store,
    traffic::{self, Door, Live, Shared, WaitingRoom},
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
    doors: Vec<Door>,
    admin: TcpListener,
    metrics: TcpListener,
    health: TcpListener,
    addresses: Addresses,
    registry: Registry,
    shared: Arc<Shared>,
}

/// Where a sidecar listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// For redirected connections that come in.
    pub inbound: SocketAddr,
    /// For those that go out.
    pub outbound: Vec<SocketAddr>,
    /// For questions about itself.
    pub admin: SocketAddr,
    /// For who collects metrics.
    pub metrics: SocketAddr,
    /// For the kubelet's probes and hooks.
    pub health: SocketAddr,
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
        let (inbound, inbound_address) = listen("redirected connections", config.inbound)?;
        let mut doors = vec![Door { direction: TrafficDirection::Ingress, listener: inbound }];
        let mut outbound = Vec::new();
        for (listener, address) in listen_outbound(&config.outbound)? {
            doors.push(Door { direction: TrafficDirection::Egress, listener });
            outbound.push(address);
        }
        let (admin, admin_address) = listen("admin", config.admin)?;
        let (metrics, metrics_address) = listen("metrics", config.metrics)?;
        let (health, health_address) = listen("probes", config.health)?;
        let log = AccessLog::start(config.pod.clone(), &config.access_log, registry, sink)
            .map_err(StartError::AccessLog)?;
        let shared = shared(config, registry, log);
        let addresses = Addresses {
            inbound: inbound_address,
            outbound,
            admin: admin_address,
            metrics: metrics_address,
            health: health_address,
        };
        Ok(Bound { doors, admin, metrics, health, addresses, registry, shared })
    }
}

impl Bound {
    /// Where it listens: of use where a port of 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Follows the agent and serves connections until `shutdown`; returns once
    /// the connections in flight have ended or had their time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { doors, admin, metrics, health, registry, shared, .. } = self;
        let Shared { config, store, .. } = shared.as_ref();
        // All end when this set is dropped. Until then policy is kept up to
        // date for the connections that are drained.
        let mut services = JoinSet::new();
        let keeper = Arc::new(Keeper::new(config.snapshot.clone(), &config.pod.uid));
        let kept = (Arc::clone(&keeper), Arc::clone(&shared.metrics));
        services.spawn(async move { kept.0.run(kept.1).await });
        services.spawn(agent::follow(
            Arc::clone(config),
            registry,
            Arc::clone(store),
            Arc::clone(&shared.metrics),
            keeper,
        ));
        services.spawn(Memory::of_this_process().watch(Arc::clone(&shared.ledger)));
        services.spawn(admin::run(admin, Arc::clone(&shared)));
        services.spawn(metrics::run(metrics, Arc::clone(&shared)));
        services.spawn(health::run(health, Health::new(config)));
        serve(doors, &shared, shutdown).await;
        shared.log.flush().await;
    }
}

/// What connections need, with the saved policy in force if there is one.
fn shared(config: Config, registry: Registry, log: AccessLog) -> Arc<Shared> {
    let (store, metrics) = (Arc::new(Store::new()), Arc::new(Metrics::new(registry)));
    agent::restore(&config, registry, &store, &metrics);
    let descriptors = Descriptors::claim();
    let memory = Memory::of_this_process().for_connections();
    let limits = &config.limits;
    let room = Room {
        connections: limits.connections.min(descriptors.connections),
        per_source: limits.per_source,
        held: limits.held.min(memory.unwrap_or(usize::MAX)),
    };
    Arc::new(Shared {
        waiting: WaitingRoom::new(config.unknown_wait),
        ledger: Ledger::new(room),
        pipes: Pipes::new(descriptors.pipes),
        config: Arc::new(config),
        store,
        log,
        metrics,
        numbers: AtomicU64::new(0),
        live: Live::default(),
    })
}

/// Serves all doors, and has all stop at once.
async fn serve(doors: Vec<Door>, shared: &Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let (stop, stopping) = watch::channel(false);
    let mut served = JoinSet::new();
    for door in doors {
        let mut stopping = stopping.clone();
        // With nobody left to ask for a stop, there is one.
        let asked = async move { drop(stopping.wait_for(|stop| *stop).await) };
        served.spawn(traffic::run(door, Arc::clone(shared), asked));
    }
    shutdown.await;
    drain::until_the_app_is_gone(shared.config.drain_delay).await;
    stop.send_replace(true);
    while served.join_next().await.is_some() {}
}

/// Listens on loopback. Without an IPv6 address there, nobody can be redirected
/// to it either.
fn listen_outbound(addresses: &[SocketAddr]) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        match listen("redirected connections that go out", *address) {
            Err(StartError::Listen { error, .. })
                if address.is_ipv6() && traffic::lacks_ipv6(&error) =>
            {
                tracing::info!(%address, %error, "there is no IPv6 here");
            }
            listener => listeners.push(listener?),
        }
    }
    Ok(listeners)
}

fn listen(
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = traffic::listen(address).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| StartError::Listen { what, address, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(addresses: [&str; 2]) -> Result<usize, String> {
        let addresses = addresses.map(|address| address.parse().unwrap());
        let listeners = listen_outbound(&addresses).map_err(|error| error.to_string());
        listeners.map(|listeners| listeners.len())
    }

    #[tokio::test]
    async fn ipv6_may_be_missing_and_ipv4_may_not() {
        assert_eq!(outbound(["127.0.0.1:0", "[::1]:0"]), Ok(2));
        // Nobody has these: as ::1 where there is no IPv6.
        assert_eq!(outbound(["127.0.0.1:0", "[2001:db8::1]:0"]), Ok(1));
        let error = outbound(["192.0.2.1:0", "[::1]:0"]).unwrap_err();
        assert!(error.contains("connections that go out on 192.0.2.1:0"), "{error}");
        // One that is taken is no missing one.
        let taken = std::net::TcpListener::bind("[::1]:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(outbound(["127.0.0.1:0", &address]).is_err());
    }
}
