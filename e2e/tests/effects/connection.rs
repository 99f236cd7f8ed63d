//! One connection: through a parser, or through nothing, to the server.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use remora_parsers::{Direction, Driver, Host, Judge, Parser, Request, Verdict};

use super::{rights::RandomPolicy, server::Memcached};

/// What stands between client and server.
pub(crate) enum Forwarder {
    /// The driver with this parser, under the case's policy.
    Parser(fn() -> Box<dyn Parser>),
    /// Nothing: every byte passes.
    Blind,
}

pub(crate) struct Outcome {
    pub(crate) to_server: Vec<u8>,
    pub(crate) from_server: Vec<u8>,
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
    if let Some(mut driver) = driver {
        // Whatever the server really answers, following it must not panic.
        let _ = driver.data(Direction::Reply, &from_server, &mut BySlice(policy));
    }
    Outcome { to_server, from_server }
}

struct BySlice<'a>(&'a RandomPolicy);

impl Judge for BySlice<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        if self.0.allows(request) { Verdict::Allow } else { Verdict::Deny }
    }
}

impl Host for BySlice<'_> {}
