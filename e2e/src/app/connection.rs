//! One connection, and what comes back over it.

use std::{
    io::{Error, ErrorKind, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Longer than any answer takes, the wait for an unknown address included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to the first address of a name, over IPv4 or IPv6.
///
/// # Errors
/// How it ended, as JSON.
pub(crate) fn open(to: &str) -> Result<TcpStream, Value> {
    let mut addresses = to
        .to_socket_addrs()
        .map_err(|error| json!({"end": "unresolved", "detail": error.to_string()}))?;
    let address = addresses.next().ok_or_else(|| json!({"end": "unresolved"}))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| end(&error))?;
    stream.set_nodelay(true).map_err(|error| end(&error))?;
    Ok(stream)
}

/// Sends a request and reads its whole reply.
pub(crate) fn ask(stream: &mut TcpStream, request: &str) -> Value {
    // What was sent before a failure may still have an answer.
    let sent = stream.write_all(request.as_bytes());
    match (read(stream), sent) {
        (Ok(reply), _) => json!({"reply": String::from_utf8_lossy(&reply)}),
        (Err(ended), Ok(())) => ended,
        (Err(ended), Err(_)) if ended["end"] == "reset" => ended,
        (Err(_), Err(error)) => end(&error),
    }
}

fn read(stream: &mut TcpStream) -> Result<Vec<u8>, Value> {
    let deadline = Instant::now() + PATIENCE;
    let (mut reply, mut chunk) = (Vec::new(), [0; 4096]);
    while !is_whole(&reply) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(json!({"end": "silence"}));
        }
        match stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk)) {
            Ok(0) => return Err(json!({"end": "closed", "detail": printable(&reply)})),
            Ok(read) => reply.extend_from_slice(&chunk[..read]),
            Err(error) => return Err(end(&error)),
        }
    }
    Ok(reply)
}

/// Whether the one reply of memcached, of a droid or of an HTTP server without
/// a body is in.
fn is_whole(reply: &[u8]) -> bool {
    if reply.starts_with(b"VALUE ") {
        reply.ends_with(b"\r\nEND\r\n")
    } else if reply.starts_with(b"HTTP/") {
        reply.windows(4).any(|bytes| bytes == b"\r\n\r\n")
    } else {
        reply.ends_with(b"\r\n")
    }
}

fn end(error: &Error) -> Value {
    let how = match error.kind() {
        ErrorKind::ConnectionReset => "reset",
        ErrorKind::BrokenPipe => "closed",
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "silence",
        _ => "failed",
    };
    json!({"end": how, "detail": error.to_string()})
}

fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
