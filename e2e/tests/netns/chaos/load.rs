//! Clients that ask all the while.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use remora_netns::Pod;

use super::{Verdicts, recorder::OUTSIDERS};

/// How long a reply is waited for before the connection is given up.
const PATIENCE: Duration = Duration::from_millis(300);

/// Pauses of whoever cannot connect.
const PAUSE: Duration = Duration::from_millis(5);

/// What came back for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The reply to this very request.
    Right,
    /// A denial.
    Denied,
    /// Nothing, or an end: faults do that.
    Nothing,
}

/// Asks for a key of its own and looks at what comes: another's reply, or one
/// to what is forbidden, is a verdict.
pub(super) fn ask(stream: &mut TcpStream, key: &str, verdicts: &Verdicts) -> Came {
    let sent = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(format!("get {key}\r\n").as_bytes()));
    if sent.is_err() {
        return Came::Nothing;
    }
    answer(stream, key, verdicts)
}

/// The answer to a request for `key` that was sent.
pub(super) fn answer(stream: &mut TcpStream, key: &str, verdicts: &Verdicts) -> Came {
    let right = format!("VALUE {key} 0 {}\r\n{key}\r\nEND\r\n", key.len());
    let (mut text, mut chunk) = (String::new(), [0; 512]);
    while !(text.ends_with("END\r\n") || text.ends_with("denied\r\n")) {
        match stream.read(&mut chunk) {
            Ok(0) => return Came::Nothing,
            Ok(length) => text += &String::from_utf8_lossy(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Came::Nothing,
        }
    }
    if text == right && key.starts_with("pub:") {
        return Came::Right;
    }
    if text != "CLIENT_ERROR access denied\r\n" {
        verdicts.add(format!("{key:?} was answered {text:?}"));
    }
    Came::Denied
}

/// A client that may ask: its own keys, and now and then one that it may not.
pub(super) fn client(
    pod: &Pod,
    to: SocketAddr,
    number: usize,
    verdicts: &Verdicts,
    stop: &AtomicBool,
) -> usize {
    let (mut open, mut answered, mut sequence) = (None, 0, 0_usize);
    while !stop.load(Ordering::Relaxed) {
        let Some(mut stream) = open.take().or_else(|| connect(pod, to)) else { continue };
        sequence += 1;
        let came = if sequence.is_multiple_of(5) {
            ask(&mut stream, &format!("sec:{number}:{sequence}"), verdicts)
        } else {
            ask(&mut stream, &format!("pub:{number}:{sequence}"), verdicts)
        };
        answered += usize::from(came == Came::Right);
        open = (came != Came::Nothing).then_some(stream);
    }
    answered
}

/// One that may not; returns how often it tried.
pub(super) fn outsider(pod: &Pod, to: SocketAddr, verdicts: &Verdicts, stop: &AtomicBool) -> usize {
    let mut tried = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(mut stream) = connect(pod, to) else { continue };
        let key = format!("{OUTSIDERS}:{tried}");
        if ask(&mut stream, &key, verdicts) != Came::Nothing {
            verdicts.add(format!("the outsider was answered: {key}"));
        }
        tried += 1;
        thread::sleep(PAUSE);
    }
    tried
}

pub(super) fn connect(pod: &Pod, to: SocketAddr) -> Option<TcpStream> {
    let connected = pod.connect(to).ok();
    if connected.is_none() {
        thread::sleep(PAUSE);
    }
    connected
}
