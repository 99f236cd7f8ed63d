//! `remora-sidecar ready`: asks a running sidecar whether it has its policy.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// A probe's own time limit is a second; this must be over before.
const LIMIT: Duration = Duration::from_millis(800);

/// More than any answer has.
const MAX_ANSWER: u64 = 16 << 10;

/// Asks the sidecar whose admin port is `admin`.
///
/// # Errors
/// Why it is not ready, in words for `kubectl describe`.
pub fn ask(admin: SocketAddr) -> Result<(), String> {
    let answer = get(admin, "/ready")
        .map_err(|error| format!("the sidecar does not answer on {admin}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(body.trim().to_owned()) }
}

/// How often it is asked by who waits.
const AGAIN: Duration = Duration::from_millis(50);

/// Waits until the sidecar is ready, for ever; tells each new reason why it is
/// not.
pub fn wait(admin: SocketAddr, mut tell: impl FnMut(&str)) {
    let mut told = String::new();
    while let Err(why) = ask(admin) {
        if why != told {
            tell(&why);
            told = why;
        }
        thread::sleep(AGAIN);
    }
}

/// The whole answer to one request, head and body.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}
