//! One pod, as its proxy serves it: its listeners, its policy, its agent, its
//! limits. A sidecar is a process with one endpoint; a node's proxy has one for
//! each of the node's pods.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};

use remora_policy::TrafficDirection;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tracing::Instrument as _;

use crate::{
    admin, agent,
    config::Config,
    drain,
    errors::StartError,
    health::{self, Health},
    limits::Ledger,
    metrics::{self, Metrics},
    network::Network,
    process::Process,
    saved::Keeper,
    snapshot::Store,
    traffic::{self, Door, Live, Shared, WaitingRoom},
};

/// A pod whose ports are open, and which is not served yet.
#[derive(Debug)]
pub(crate) struct Endpoint {
    doors: Vec<Door>,
    admin: TcpListener,
    metrics: TcpListener,
    health: TcpListener,
    addresses: Addresses,
    process: Arc<Process>,
    shared: Arc<Shared>,
}

/// Where an endpoint listens, in its pod.
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

impl Endpoint {
    /// Opens the ports, within the tokio runtime that is to serve them.
    ///
    /// # Errors
    /// A [`StartError`] that names what could not be had.
    pub(crate) fn open(config: Config, process: Arc<Process>) -> Result<Self, StartError> {
        let network = &config.network;
        let (inbound, inbound_address) = listen(network, "redirected connections", config.inbound)?;
        let mut doors = vec![Door { direction: TrafficDirection::Ingress, listener: inbound }];
        let mut outbound = Vec::new();
        for (listener, address) in listen_outbound(network, &config.outbound)? {
            doors.push(Door { direction: TrafficDirection::Egress, listener });
            outbound.push(address);
        }
        let (admin, admin_address) = listen(network, "admin", config.admin)?;
        let (metrics, metrics_address) = listen(network, "metrics", config.metrics)?;
        let (health, health_address) = listen(network, "probes", config.health)?;
        let addresses = Addresses {
            inbound: inbound_address,
            outbound,
            admin: admin_address,
            metrics: metrics_address,
            health: health_address,
        };
        let shared = shared(config, &process);
        Ok(Self { doors, admin, metrics, health, addresses, process, shared })
    }

    /// Where it listens: of use where a port of 0 was asked for.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Follows the agent and serves connections until `shutdown`; returns once
    /// the connections in flight have ended or had their time.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { doors, admin, metrics, health, process, shared, .. } = self;
        let Shared { config, store, .. } = shared.as_ref();
        // All end when this set is dropped. Until then policy is kept up to
        // date for the connections that are drained.
        let mut services = JoinSet::new();
        let keeper = Arc::new(Keeper::new(config.snapshot.clone(), &config.pod.uid));
        let kept = (Arc::clone(&keeper), Arc::clone(&shared.metrics));
        services.spawn(async move { kept.0.run(kept.1).await }.in_current_span());
        let following = agent::follow(
            Arc::clone(config),
            process.registry,
            Arc::clone(store),
            Arc::clone(&shared.metrics),
            keeper,
        );
        services.spawn(following.in_current_span());
        services.spawn(admin::run(admin, Arc::clone(&shared)).in_current_span());
        services.spawn(metrics::run(metrics, Arc::clone(&shared)).in_current_span());
        services.spawn(health::run(health, Health::new(config)).in_current_span());
        serve(doors, &shared, shutdown).await;
    }
}

/// What connections need, with the saved policy in force if there is one.
fn shared(config: Config, process: &Process) -> Arc<Shared> {
    let registry = process.registry;
    let (store, metrics) = (Arc::new(Store::new()), Arc::new(Metrics::new(registry)));
    agent::restore(&config, registry, &store, &metrics);
    Arc::new(Shared {
        waiting: WaitingRoom::new(config.unknown_wait),
        ledger: Ledger::new(process.room(&config), Arc::clone(&process.commons)),
        pipes: process.pipes.clone(),
        log: process.log(&config),
        config: Arc::new(config),
        store,
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
        served.spawn(traffic::run(door, Arc::clone(shared), asked).in_current_span());
    }
    shutdown.await;
    drain::until_the_app_is_gone(shared.config.drain_delay).await;
    stop.send_replace(true);
    while served.join_next().await.is_some() {}
}

/// Listens on loopback. Without an IPv6 address there, nobody can be redirected
/// to it either.
fn listen_outbound(
    network: &Network,
    addresses: &[SocketAddr],
) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        match listen(network, "redirected connections that go out", *address) {
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
    network: &Network,
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = network.enter(|| traffic::listen(address)).and_then(|listener| {
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
        let listeners = listen_outbound(&Network::default(), &addresses);
        listeners.map(|listeners| listeners.len()).map_err(|error| error.to_string())
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
