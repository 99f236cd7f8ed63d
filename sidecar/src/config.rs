//! The configuration, read from the environment here and nowhere else.
//!
//! Every problem is reported at once, with its variable and a remedy.

mod agent;
mod finder;
mod node;
mod probes;
mod reader;

use std::{
    env, fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use tracing::level_filters::LevelFilter;

pub(crate) use self::probes::{Call, HttpGet, Kind, Probe};
use self::reader::Reader;
pub use self::{
    agent::{Agent, Tls},
    finder::FinderConfig,
    probes::Probes,
};
use crate::{access_log::Options, limits::Limits, network::Network};

/// The uid by which redirections know the proxy.
pub const PROXY_UID: u32 = 16006;

/// Where redirected inbound connections arrive.
pub const INBOUND_PORT: u16 = 16006;

/// Where redirected outbound connections arrive, on loopback.
pub const OUTBOUND_PORT: u16 = 16001;

/// Where readiness and the policy in force can be asked for, on loopback.
pub const ADMIN_PORT: u16 = 16000;

/// Where Prometheus finds the metrics.
pub const METRICS_PORT: u16 = 16020;

/// Where a kubelet's probes and hooks are taken.
pub const HEALTH_PORT: u16 = 16021;

/// How long connections are still accepted after a stop was asked for, while
/// the app is there.
pub const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// The longest of either that can be asked for, in seconds.
const MOST_DRAIN: u64 = 3600;

/// How long connections in flight may go on when no more are accepted.
pub const DRAIN: Duration = Duration::from_secs(5);

/// How many threads can be asked for.
const THREADS: RangeInclusive<u64> = 1..=64;

/// How often an agent behind TCP is asked whether it is still there.
pub const KEEPALIVE: Duration = Duration::from_secs(20);

/// How long a client of unknown identity is kept waiting for an update.
pub const UNKNOWN_WAIT: Duration = Duration::from_secs(5);

/// The longest such wait that can be asked for, in seconds: clients give up
/// on a connection in about that time.
const MAX_UNKNOWN_WAIT: u64 = 60;

/// How long ago the agent may have been heard for what was saved to be used.
pub const SNAPSHOT_AGE: Duration = Duration::from_secs(86_400);

/// What can be asked for instead, in seconds: a minute to thirty days.
const SNAPSHOT_AGES: RangeInclusive<u64> = 60..=2_592_000;

/// What a sidecar needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the agent is.
    pub agent: Agent,
    /// How often an agent behind TCP is asked whether it is still there, and
    /// how long it may take to say so.
    pub keepalive: Duration,
    /// The pod this sidecar stands in.
    pub pod: Pod,
    /// Where that pod's sockets are.
    pub network: Network,
    /// Where to listen for redirected connections. `[::]` takes IPv4 too.
    pub inbound: SocketAddr,
    /// Where to listen for redirected outbound connections: on loopback, so
    /// that no other pod gets at this pod's identity. IPv6's may be missing.
    pub outbound: Vec<SocketAddr>,
    /// Where to listen for questions about the sidecar itself; loopback.
    pub admin: SocketAddr,
    /// Where to listen for who collects metrics.
    pub metrics: SocketAddr,
    /// Where to listen for the kubelet's probes and hooks.
    pub health: SocketAddr,
    /// The calls that are made for the kubelet.
    pub probes: Probes,
    /// From where the node speaks to the pod.
    pub node: Vec<IpAddr>,
    /// Where the last good policy is kept for the next start, if anywhere.
    pub snapshot: Option<PathBuf>,
    /// How long ago the agent may have been heard for it to be used.
    pub snapshot_age: Duration,
    /// How long a connection with a peer of unknown identity is kept waiting for
    /// an update.
    pub unknown_wait: Duration,
    /// What peers may cost.
    pub limits: Limits,
    /// How the access log looks and what it shows.
    pub access_log: Options,
    /// How long connections are still accepted after a stop was asked for, while
    /// the app is there.
    pub drain_delay: Duration,
    /// How long connections in flight may go on after that.
    pub drain: Duration,
    /// How many threads judge connections.
    pub threads: u64,
    /// The most verbose level of diagnostics.
    pub log: LevelFilter,
    /// How a connection's original destination is found.
    pub original_destination: OriginalDestination,
}

/// The pod a sidecar stands in, as the downward API tells.
#[derive(Debug, Clone)]
pub struct Pod {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `status.podIPs`: the only addresses that are ever dialled for others.
    pub ips: Vec<IpAddr>,
}

/// How a connection's original destination is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginalDestination {
    /// Asked of the kernel, which redirected the connection.
    Kernel,
    /// Always the same: for tests of a sidecar without a redirection.
    Fixed(SocketAddr),
}

/// All that is wrong with the environment, one line each.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl Config {
    /// The configuration of this process.
    ///
    /// # Errors
    /// A [`ConfigError`] with every problem that was found.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut config = Self::read(variable)?;
        config.node.extend(node::gateways());
        Ok(config)
    }

    /// A configuration from any source of variables.
    ///
    /// # Errors
    /// As for [`from_env`](Self::from_env).
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(get);
        let mut config = Self {
            agent: reader.agent(),
            keepalive: KEEPALIVE,
            pod: Pod {
                namespace: reader.required("REMORA_POD_NAMESPACE", "metadata.namespace"),
                name: reader.required("REMORA_POD_NAME", "metadata.name"),
                uid: reader.required("REMORA_POD_UID", "metadata.uid"),
                ips: reader.pod_ips(),
            },
            network: Network::default(),
            inbound: everywhere(reader.port("REMORA_INBOUND_PORT", INBOUND_PORT)),
            outbound: loopback(reader.port("REMORA_OUTBOUND_PORT", OUTBOUND_PORT)),
            admin: admin_address(reader.port("REMORA_ADMIN_PORT", ADMIN_PORT)),
            metrics: everywhere(reader.port("REMORA_METRICS_PORT", METRICS_PORT)),
            health: everywhere(reader.port("REMORA_HEALTH_PORT", HEALTH_PORT)),
            probes: Probes::default(),
            node: reader.host_ips(),
            snapshot: reader.snapshot(),
            snapshot_age: reader.seconds(
                "REMORA_SNAPSHOT_MAX_AGE_SECONDS",
                SNAPSHOT_AGES,
                SNAPSHOT_AGE,
            ),
            unknown_wait: reader.seconds(
                "REMORA_UNKNOWN_WAIT_SECONDS",
                0..=MAX_UNKNOWN_WAIT,
                UNKNOWN_WAIT,
            ),
            access_log: reader.access_log(),
            limits: Limits::read(|limit| reader.limit(limit)),
            drain_delay: reader.seconds("REMORA_DRAIN_DELAY_SECONDS", 0..=MOST_DRAIN, DRAIN_DELAY),
            drain: reader.seconds("REMORA_DRAIN_SECONDS", 0..=MOST_DRAIN, DRAIN),
            threads: reader.number("REMORA_THREADS", THREADS, 1),
            log: reader.log(),
            original_destination: OriginalDestination::Kernel,
        };
        config.read_probes(&mut reader);
        reader.finish(config)
    }

    /// The configuration of an endpoint of a node's proxy.
    ///
    /// # Errors
    /// A [`ConfigError`] with every problem that was found.
    pub(crate) fn of_endpoint(
        get: impl Fn(&str) -> Option<String>,
        network: Network,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::read(get)?;
        // Without its routes no gateway is known, and no hook is obeyed.
        config.node.extend(network.enter(|| Ok(node::gateways())).unwrap_or_default());
        // Whoever stops a node's proxy does not stop its pods.
        config.drain_delay = Duration::ZERO;
        Ok(Self { network, ..config })
    }

    /// Every port that the sidecar listens on.
    pub(crate) fn own_ports(&self) -> impl Iterator<Item = u16> {
        let Self { inbound, outbound, admin, metrics, health, .. } = self;
        [inbound, admin, metrics, health].into_iter().chain(outbound).map(SocketAddr::port)
    }

    fn read_probes(&mut self, reader: &mut Reader<impl Fn(&str) -> Option<String>>) {
        let name = "REMORA_PROBES";
        let Some(json) = reader.value(name) else { return };
        let probes = match Probes::read(&json, &self.pod.ips) {
            Ok(probes) => probes,
            Err(problem) => {
                return reader.problem(name, format_args!("{problem}; inject the pod anew"));
            }
        };
        let own: Vec<u16> = self.own_ports().collect();
        if let Some(path) = probes.aimed_at(&own) {
            reader.problem(name, format_args!("{path}: the port is the sidecar's own"));
        }
        if probes.has_hooks() && self.node.is_empty() {
            reader.problem(
                "REMORA_HOST_IP",
                "is not set, and only the node may call hooks; take it from the fieldRef status.hostIP",
            );
        }
        self.probes = probes;
    }
}

/// What the endpoints of a node's proxy have in common.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The most verbose level of diagnostics.
    pub log: LevelFilter,
    /// How the access log looks, and who else is sent it.
    pub access_log: Options,
}

impl NodeConfig {
    /// That of this process.
    ///
    /// # Errors
    /// A [`ConfigError`] with every problem that was found.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variable);
        let config = Self { log: reader.log(), access_log: reader.access_log() };
        reader.finish(config)
    }
}

/// Where this container's sidecar answers `ready`: the one thing that the
/// probe has to know.
///
/// # Errors
/// A [`ConfigError`] when `REMORA_ADMIN_PORT` is no port.
pub fn admin_from_env() -> Result<SocketAddr, ConfigError> {
    let mut reader = Reader::new(variable);
    let port = reader.port("REMORA_ADMIN_PORT", ADMIN_PORT);
    reader.finish(admin_address(port))
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// `[::]`, which takes IPv4 too.
fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

fn admin_address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests;
