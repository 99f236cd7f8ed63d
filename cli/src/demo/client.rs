//! A client's connection, and what can come back over it.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use remora_netns::Pod;

/// Longer than any answer takes, the wait for an unknown address included.
const ANSWER_LIMIT: Duration = Duration::from_secs(6);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// All that the server's side sent.
    Reply(Vec<u8>),
    /// The connection was reset.
    Reset,
    /// The connection was closed in order, without a whole reply.
    Closed,
    /// Nobody listens.
    Refused,
    /// No whole reply within the limit.
    Silence,
    /// The system said something else.
    Failed(String),
}

impl Answer {
    fn from_error(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset => Self::Reset,
            ErrorKind::BrokenPipe => Self::Closed,
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silence,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(bytes) => f.write_str(&printable(bytes)),
            Self::Reset => f.write_str("connection reset"),
            Self::Closed => f.write_str("connection closed"),
            Self::Refused => f.write_str("connection refused"),
            Self::Silence => write!(f, "no answer in {ANSWER_LIMIT:?}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Bytes as a person reads them, line ends visible.
pub(super) fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// A connection from a pod. One that could not be made answers every request
/// with the reason.
#[derive(Debug)]
pub(super) struct Connection(Result<TcpStream, Answer>);

impl Connection {
    /// Connects from inside `pod`.
    pub(super) fn open(pod: &Pod, to: SocketAddr) -> Self {
        let stream = pod.connect(to).and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        Self(stream.map_err(|error| Answer::from_error(&error)))
    }

    /// Sends `request` and reads until `whole` says that all replies are in.
    pub(super) fn ask(&mut self, request: &[u8], whole: impl Fn(&[u8]) -> bool) -> Answer {
        self.ask_in_pieces([request], whole)
    }

    /// The same, each piece in a packet of its own.
    pub(super) fn ask_in_pieces<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        whole: impl Fn(&[u8]) -> bool,
    ) -> Answer {
        let stream = match &mut self.0 {
            Ok(stream) => stream,
            Err(reason) => return reason.clone(),
        };
        // What was sent before a failure may still have an answer.
        let sent = pieces.into_iter().try_for_each(|piece| stream.write_all(piece));
        let answer = read_reply(stream, whole);
        match (sent, answer) {
            (Ok(()), answer) | (Err(_), answer @ (Answer::Reply(_) | Answer::Reset)) => answer,
            (Err(error), _) => Answer::from_error(&error),
        }
    }
}

fn read_reply(stream: &mut TcpStream, whole: impl Fn(&[u8]) -> bool) -> Answer {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let (mut reply, mut chunk) = (Vec::new(), [0; 4096]);
    while !whole(&reply) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Answer::Silence;
        }
        match stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk)) {
            Ok(0) => return Answer::Closed,
            Ok(read) => reply.extend_from_slice(&chunk[..read]),
            Err(error) => return Answer::from_error(&error),
        }
    }
    Answer::Reply(reply)
}

/// Whether so many whole lines are in.
pub(super) fn lines(count: usize) -> impl Fn(&[u8]) -> bool {
    move |reply| {
        reply.ends_with(b"\r\n") && reply.windows(2).filter(|pair| pair == b"\r\n").count() >= count
    }
}

/// Whether the one reply of memcached's text protocol is in.
pub(super) fn memcached_reply(reply: &[u8]) -> bool {
    if reply.starts_with(b"VALUE ") {
        reply.ends_with(b"\r\nEND\r\n")
    } else {
        reply.ends_with(b"\r\n")
    }
}
