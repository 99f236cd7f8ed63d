//! Where a redirected connection was going, and whether it may go there.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::{
    config::{Config, OriginalDestination},
    errors::Error,
};

/// The address that the client dialled, if it is one that the proxy serves.
///
/// Only the pod's own addresses are: dialling loopback would open ports that
/// the app keeps to itself, dialling anything else would lend out the pod's
/// identity.
///
/// # Errors
/// Why the connection must be refused.
pub(super) fn find(client: &TcpStream, config: &Config) -> Result<SocketAddr, Error> {
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
    check(destination, local, &config.pod.ips)?;
    Ok(destination)
}

fn check(destination: SocketAddr, local: SocketAddr, ips: &[IpAddr]) -> Result<(), Error> {
    if !ips.contains(&destination.ip()) {
        return Err(Error::Foreign);
    }
    if destination.port() == local.port() {
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

    fn verdict(destination: &str) -> Result<(), &'static str> {
        let ips = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let local = "10.0.0.1:16006".parse().unwrap();
        let address = canonical(destination.parse().unwrap());
        check(address, local, &ips).map_err(|error| error.label().name())
    }

    #[test]
    fn only_the_pods_own_addresses_are_dialled() {
        for good in ["10.0.0.1:11211", "[fd00::1]:80", "[::ffff:10.0.0.1]:80"] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        for foreign in ["127.0.0.1:11211", "10.0.0.2:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(verdict(foreign), Err("client-foreign-destination"), "{foreign}");
        }
    }

    #[test]
    fn the_proxys_own_port_is_a_loop() {
        assert_eq!(verdict("10.0.0.1:16006"), Err("client-loop"));
        assert_eq!(verdict("[fd00::1]:16006"), Err("client-loop"));
    }
}
