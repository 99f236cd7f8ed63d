//! What is done to sockets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
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

/// A peer that is silent is asked whether it is still there after so long,
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// again after so long,
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
/// and given up after so many questions.
const KEEPALIVE_QUESTIONS: u32 = 3;

/// Whether listening failed for want of IPv6, or of an address of its loopback.
pub(crate) fn lacks_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Small messages go at once. A peer that vanished is noticed: by what it does
/// not acknowledge, or take, for as long as `unanswered`, and by questions when
/// there is nothing to send. A socket that refuses any of it works all the same.
pub(super) fn tune(stream: &TcpStream, unanswered: Duration) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_AGAIN)
        .with_retries(KEEPALIVE_QUESTIONS);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(unanswered));
}

/// Ends a connection the hard way: the peer sees a reset.
pub(super) fn reset(stream: TcpStream) {
    // A socket that is dead already needs no reset.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_vanishes_is_asked_and_given_up() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&stream, Duration::from_secs(30));
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_AGAIN);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_QUESTIONS);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}
