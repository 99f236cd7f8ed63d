//! Waiting for two sockets at once, without asking either in vain.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use rustix::io::read;
use tokio::{io::Interest, net::TcpStream};

use crate::limits::Quantum;

/// What a socket is waited for, or is ready for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Turn {
    /// Whether there is nothing to be done.
    pub(crate) fn is_idle(self) -> bool {
        self == Self::default()
    }

    /// What of this the socket is ready for. One that is not ready, or not
    /// asked, has this task woken up at most once more than needed.
    fn poll(self, stream: &TcpStream, cx: &mut Context<'_>) -> io::Result<Self> {
        let is_ready = |poll: Poll<io::Result<()>>| match poll {
            Poll::Ready(done) => done.map(|()| true),
            Poll::Pending => Ok(false),
        };
        let read = self.read && is_ready(stream.poll_read_ready(cx))?;
        let write = self.write && is_ready(stream.poll_write_ready(cx))?;
        Ok(Self { read, write })
    }
}

/// Waits until one of two sockets is ready for anything that it is asked for;
/// says what both are ready for, so that neither waits for the other's turn.
/// A connection that always has something to do lets others run: its turn ends
/// where there is nothing to do, or its quantum is used up.
///
/// # Errors
/// The runtime has ended.
pub(crate) async fn ready(
    sockets: [(&TcpStream, Turn); 2],
    quantum: &mut Quantum,
) -> io::Result<[Turn; 2]> {
    quantum.end_turn().await;
    poll_fn(|cx| {
        let [(one, at_one), (other, at_other)] = sockets;
        let turns = [at_one.poll(one, cx)?, at_other.poll(other, cx)?];
        match turns.iter().all(|turn| turn.is_idle()) {
            true => {
                quantum.renew();
                Poll::Pending
            }
            false => Poll::Ready(Ok(turns)),
        }
    })
    .await
}

/// Reads what has come, up to the buffer's length. Less than that is all there
/// was: the socket is waited for from then on, and not asked whether there is
/// more.
///
/// # Errors
/// The system's; `WouldBlock` when nothing has come.
pub(crate) fn take(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let room = buffer.len();
    let mut taken = None;
    let read = stream.try_io(Interest::READABLE, || {
        let n = read(stream, &mut *buffer)?;
        taken = Some(n);
        // Said within, so that what comes meanwhile is not taken for old news.
        // The end of a stream is never forgotten.
        if n < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    });
    taken.map_or(read, Ok)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const READ: Turn = Turn { read: true, write: false };

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    /// What comes next, in as many reads as it needs.
    async fn next(stream: &TcpStream, other: &TcpStream, most: usize) -> Vec<u8> {
        let mut buffer = vec![0; most];
        loop {
            let sockets = [(stream, READ), (other, Turn::default())];
            let turns = timeout(PATIENCE, ready(sockets, &mut Quantum::default()))
                .await
                .expect("bytes")
                .unwrap();
            assert_eq!(turns, [READ, Turn::default()]);
            match take(stream, &mut buffer) {
                Err(error) if crate::relay::retry(&error) => {}
                n => return buffer[..n.unwrap()].to_vec(),
            }
        }
    }

    fn is_ready(stream: &TcpStream) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        stream.poll_read_ready(&mut cx).is_ready()
    }

    #[tokio::test]
    async fn a_socket_with_no_more_is_not_asked_for_more() {
        let (mut one, other) = pair().await;
        one.write_all(b"hello").await.unwrap();
        assert_eq!(next(&other, &one, 2).await, b"he");
        assert!(is_ready(&other), "a full buffer may not be all");
        assert_eq!(next(&other, &one, 8).await, b"llo");
        assert!(!is_ready(&other));
        one.write_all(b"more").await.unwrap();
        assert_eq!(next(&other, &one, 8).await, b"more");
        assert!(!is_ready(&other));
    }

    #[tokio::test]
    async fn an_end_that_comes_with_the_last_bytes_is_seen() {
        let (mut one, other) = pair().await;
        one.write_all(b"bye").await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(next(&other, &one, 8).await, b"bye");
        assert_eq!(next(&other, &one, 8).await, b"");
    }

    #[tokio::test]
    async fn both_sockets_get_their_turn_at_once() {
        let (mut one, mut other) = pair().await;
        one.write_all(b"a").await.unwrap();
        other.write_all(b"b").await.unwrap();
        let both = Turn { read: true, write: true };
        let all = async {
            let sockets = [(&one, both), (&other, both)];
            while ready(sockets, &mut Quantum::default()).await.unwrap() != [both, both] {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, all).await.unwrap();
    }

    /// A read ends before an urgent byte, though there is more behind it.
    #[tokio::test]
    async fn what_is_behind_an_urgent_byte_comes_too() {
        let (one, other) = pair().await;
        one.set_nodelay(true).unwrap();
        let socket = socket2::SockRef::from(&one);
        socket.send_out_of_band(b"ab!").unwrap();
        socket.send(b"cd").unwrap();
        let mut came = Vec::new();
        while came.len() < 4 {
            came.extend(next(&other, &one, 8).await);
        }
        assert_eq!(came, b"abcd");
    }
}
