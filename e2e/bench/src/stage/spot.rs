//! A server pod, and how clients and proxies find it.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::Result;
use remora_netns::Pod;

use crate::partner::{Mode, Protocol, joined};

/// The first port of the node's listeners.
const FIRST_LISTENER: u16 = 20_000;

/// A server pod.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) name: String,
    pub(crate) pod: Pod,
    pub(crate) mode: Mode,
}

impl Spot {
    /// Where clients connect to: the pod; or, before a proxy of the node, an
    /// address that only the node's redirection knows.
    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        let ip = match self.mode {
            Mode::None | Mode::Sidecar => self.pod.ipv4(),
            Mode::Node => self.service_address(),
        };
        (ip, protocol.port()).into()
    }

    /// What an adapter of a sidecar is told.
    pub(super) fn variables(&self, inbound: u16) -> Vec<(&'static str, String)> {
        let ips = [IpAddr::from(self.pod.ipv4()), self.pod.ipv6().into()];
        let ports = Protocol::ALL.map(|protocol| protocol.port().to_string());
        vec![
            ("BENCH_PORT", inbound.to_string()),
            ("BENCH_APP_PORTS", ports.join(" ")),
            ("BENCH_POD", self.name.clone()),
            ("BENCH_NAMESPACE", "default".to_owned()),
            ("BENCH_UID", self.pod.uid().to_owned()),
            ("BENCH_IPS", joined(&ips)),
        ]
    }

    /// What an adapter of a node proxy is told: a line for each listener.
    pub(super) fn endpoints(&self, protocols: &[Protocol]) -> Result<String> {
        let mut lines = String::new();
        let pid = self.pod.pid(Protocol::Memcached.name())?;
        for protocol in protocols {
            let (listener, port) = (self.listener(*protocol), protocol.port());
            let (ip, name, uid) = (self.pod.ipv4(), &self.name, self.pod.uid());
            // A string takes everything.
            let _ = writeln!(lines, "{listener} {ip} {port} default {name} {uid} {pid}");
        }
        Ok(lines)
    }

    /// The node's redirection to those listeners, for `iptables-restore`.
    pub(super) fn rules(&self, protocols: &[Protocol]) -> String {
        let (mut lines, ip) = (String::new(), self.service_address());
        for protocol in protocols {
            let (listener, port) = (self.listener(*protocol), protocol.port());
            let _ = writeln!(
                lines,
                "-A PREROUTING -d {ip}/32 -p tcp --dport {port} -j REDIRECT --to-ports {listener}"
            );
        }
        lines
    }

    fn host(&self) -> u8 {
        self.pod.ipv4().octets()[3]
    }

    fn service_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, 0, self.host())
    }

    fn listener(&self, protocol: Protocol) -> u16 {
        let index = Protocol::ALL.iter().position(|other| *other == protocol).unwrap_or_default();
        let index = u16::try_from(index).unwrap_or_default();
        FIRST_LISTENER + u16::from(self.host()) * 4 + index
    }
}
