//! Where a redirected connection was going, and whether it may go there.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use remora_policy::TrafficDirection;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::{
    config::{Config, OriginalDestination},
    errors::Error,
};

/// The address that the client dialled, if it is one that the proxy serves in
/// this direction.
///
/// # Errors
/// Why the connection must be refused.
pub(super) fn find(
    client: &TcpStream,
    direction: TrafficDirection,
    config: &Config,
) -> Result<SocketAddr, Error> {
    let local = canonical(client.local_addr().map_err(Error::NoDestination)?);
    let destination = match config.original_destination {
        OriginalDestination::Fixed(address) => address,
        OriginalDestination::Kernel => {
            let told = original_destination(client, local.ip()).map_err(|error| {
                // Connection tracking does not know it: nobody redirected it.
                match error.kind() {
                    io::ErrorKind::NotFound => Error::NotRedirected,
                    _ => Error::NoDestination(error),
                }
            })?;
            if told == local {
                return Err(Error::NotRedirected);
            }
            told
        }
    };
    match direction {
        TrafficDirection::Ingress => inbound(destination, local, &config.pod.ips)?,
        TrafficDirection::Egress => outbound(destination, config)?,
    }
    Ok(destination)
}

/// Only the pod's own addresses are dialled for others: dialling loopback would
/// open ports that the app keeps to itself, dialling anything else would lend
/// out the pod's identity.
fn inbound(destination: SocketAddr, local: SocketAddr, ips: &[IpAddr]) -> Result<(), Error> {
    if !ips.contains(&destination.ip()) {
        return Err(Error::Foreign);
    }
    if destination.port() == local.port() {
        return Err(Error::Loop);
    }
    Ok(())
}

/// The app may go anywhere that policy allows, but not through the proxy to
/// the proxy, be it by a service whose backend this pod is.
///
/// # Errors
/// [`Error::Loop`]
pub(super) fn outbound(destination: SocketAddr, config: &Config) -> Result<(), Error> {
    let ip = destination.ip();
    let is_here = ip.is_loopback() || ip.is_unspecified() || config.pod.ips.contains(&ip);
    if is_here && config.own_ports().any(|port| port == destination.port()) {
        return Err(Error::Loop);
    }
    Ok(())
}

/// Asks connection tracking (`SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST`). An
/// IPv4 connection on an IPv6 socket is asked about as IPv4.
fn original_destination(client: &TcpStream, local: IpAddr) -> io::Result<SocketAddr> {
    let socket = SockRef::from(client);
    let told = match local {
        IpAddr::V4(_) => socket.original_dst_v4(),
        IpAddr::V6(_) => socket.original_dst_v6(),
    }?;
    told.as_socket().map(canonical).ok_or_else(|| io::Error::other("it is no IP address"))
}

/// The address without IPv6's mapping of IPv4, nor flow or scope.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let variables = [
            ("REMORA_AGENT", "unix:/run/remora/agent.sock"),
            ("REMORA_POD_NAMESPACE", "default"),
            ("REMORA_POD_NAME", "droid"),
            ("REMORA_POD_UID", "7a"),
            ("REMORA_POD_IPS", "10.0.0.1,fd00::1"),
        ];
        let get = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::read(get).unwrap()
    }

    fn verdict(direction: TrafficDirection, destination: &str) -> Result<(), &'static str> {
        let config = config();
        let address = canonical(destination.parse().unwrap());
        let checked = match direction {
            TrafficDirection::Ingress => {
                inbound(address, "10.0.0.1:16006".parse().unwrap(), &config.pod.ips)
            }
            TrafficDirection::Egress => outbound(address, &config),
        };
        checked.map_err(|error| error.label().name())
    }

    #[test]
    fn only_the_pods_own_addresses_are_dialled_for_others() {
        let verdict = |destination| verdict(TrafficDirection::Ingress, destination);
        for good in ["10.0.0.1:11211", "[fd00::1]:80", "[::ffff:10.0.0.1]:80"] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        for foreign in ["127.0.0.1:11211", "10.0.0.2:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(verdict(foreign), Err("client-foreign-destination"), "{foreign}");
        }
    }

    #[test]
    fn the_proxys_own_ports_are_a_loop() {
        for ip in ["10.0.0.1", "[fd00::1]"] {
            let proxy = format!("{ip}:16006");
            assert_eq!(verdict(TrafficDirection::Ingress, &proxy), Err("client-loop"));
        }
        for ip in ["10.0.0.1", "[fd00::1]", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0"] {
            for port in [16000, 16001, 16006, 16020, 16021] {
                let proxy = format!("{ip}:{port}");
                assert_eq!(verdict(TrafficDirection::Egress, &proxy), Err("client-loop"));
            }
            assert_eq!(verdict(TrafficDirection::Egress, &format!("{ip}:80")), Ok(()));
        }
        // Somebody else's proxy is none of ours.
        assert_eq!(verdict(TrafficDirection::Egress, "10.0.0.2:16006"), Ok(()));
    }
}
