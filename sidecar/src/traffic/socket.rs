//! What is done to sockets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Linux's number for a family of addresses that it does not have: the standard
/// library has no kind of error for it.
const EAFNOSUPPORT: i32 = 97;

/// Listens on `address`; on `[::]` for IPv4 as well, and where the kernel has
/// no IPv6 at all for IPv4 alone.
///
/// # Errors
/// The system's.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
    {
        Err(_) if address.ip().is_unspecified() && address.is_ipv6() => {
            return listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()));
        }
        socket => socket?,
    };
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether listening failed for want of IPv6, or of an address of its loopback.
pub(crate) fn lacks_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Small messages go at once, and a peer that vanished is noticed some day. A
/// socket that refuses either works all the same.
pub(super) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_keepalive(true);
}

/// Ends a connection the hard way: the peer sees a reset.
pub(super) fn reset(stream: TcpStream) {
    // A socket that is dead already needs no reset.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// Tells the peer that nothing more will come; it may go on sending.
pub(super) fn end_writing(stream: &TcpStream) {
    // Failing means that the connection is gone, which reading tells.
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
}
