//! One connection: through a parser, or through nothing, to the server.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use remora_parsers::{
    Blame, Direction, Driver, Host, Judge, Parser, Request, Verdict, memcache::DENIED,
};

use super::{rights::RandomPolicy, server::Memcached};

/// What stands between client and server.
pub(crate) enum Forwarder {
    /// The driver with this parser, under the case's policy.
    Parser(Box<dyn Fn() -> Box<dyn Parser>>),
    /// Nothing: every byte passes.
    Blind,
}

pub(crate) struct Outcome {
    pub(crate) to_server: Vec<u8>,
    pub(crate) from_server: Vec<u8>,
    /// Why the parser finds fault with what a real server answers: either it
    /// lets something through that it did not understand, or it misreads.
    pub(crate) misread: Option<String>,
}

/// Sends a case's arrivals, hangs up, and hears the server out.
pub(crate) fn run(
    server: &Memcached,
    forwarder: &Forwarder,
    policy: &RandomPolicy,
    case: &[Vec<u8>],
) -> Outcome {
    let mut stream = server.connect();
    let mut to_server = Vec::new();
    let mut driver = None;
    match forwarder {
        Forwarder::Blind => to_server = case.concat(),
        Forwarder::Parser(parser) => {
            let mut live = Driver::new(parser());
            let mut host = BySlice(policy);
            for arrival in case {
                let result = live.data(Direction::Request, arrival, &mut host);
                to_server.append(live.output(Direction::Request));
                if result.is_err() {
                    break;
                }
            }
            driver = Some(live);
        }
    }
    // The server may hang up first, after `quit` or what it calls an error.
    let _ = stream.write_all(&to_server);
    let _ = stream.shutdown(Shutdown::Write);
    let mut from_server = Vec::new();
    let _ = stream.read_to_end(&mut from_server);
    let misread = driver.and_then(|driver| misread(driver, &from_server, policy));
    Outcome { to_server, from_server, misread }
}

/// Follows the server's replies; says what was wrong with that.
fn misread(mut driver: Driver, from_server: &[u8], policy: &RandomPolicy) -> Option<String> {
    let followed = driver.data(Direction::Reply, from_server, &mut BySlice(policy));
    let to_client = std::mem::take(driver.output(Direction::Reply));
    match followed {
        Err(fault) if fault.blame != Blame::Client => Some(fault.to_string()),
        _ if is_whole(&to_client) => None,
        _ => Some(format!("a denial inside a reply: {}", to_client.escape_ascii())),
    }
}

/// Whether denials stand between replies: at a line's start with a line behind
/// them, or between frames.
fn is_whole(to_client: &[u8]) -> bool {
    if to_client.first() == Some(&0x81) {
        let mut rest = to_client;
        while let [0x81, _, _, _, _, _, _, _, b3, b2, b1, b0, ..] = *rest {
            let length = 24 + u32::from_be_bytes([b3, b2, b1, b0]) as usize;
            rest = rest.get(length..).unwrap_or_default();
        }
        return rest.is_empty();
    }
    let places = to_client.windows(DENIED.len()).enumerate();
    places.filter(|(_, window)| *window == DENIED).all(|(at, _)| {
        let (before, behind) = (&to_client[..at], &to_client[at + DENIED.len()..]);
        (before.is_empty() || before.ends_with(b"\r\n")) && !behind.starts_with(b"\r\n")
    })
}

struct BySlice<'a>(&'a RandomPolicy);

impl Judge for BySlice<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        if self.0.allows(request) { Verdict::Allow } else { Verdict::Deny }
    }
}

impl Host for BySlice<'_> {}
