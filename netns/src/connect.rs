//! TCP connections from inside a namespace.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::net::NetNs;
use crate::{Error, Result};

/// Long enough for a loaded machine, short enough to tell a black hole.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to `to` from inside `namespace`.
pub(crate) fn connect(namespace: &NetNs, to: SocketAddr) -> io::Result<TcpStream> {
    flatten(namespace.enter(|| TcpStream::connect_timeout(&to, CONNECT_TIMEOUT)))
}

/// Connects to `to` from inside `namespace`, from the source address `from`.
pub(crate) fn connect_from(
    namespace: &NetNs,
    from: IpAddr,
    to: SocketAddr,
) -> io::Result<TcpStream> {
    flatten(namespace.enter(|| {
        let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
        rustix::net::connect(&socket, &to)?;
        Ok(TcpStream::from(socket))
    }))
}

/// Callers tell a refusal from a reset by the kind of the system's own error.
fn flatten<T>(outcome: Result<io::Result<T>>) -> io::Result<T> {
    match outcome {
        Ok(inner) => inner,
        Err(Error::Io { source, .. }) => Err(source),
        Err(other) => Err(io::Error::other(other)),
    }
}
