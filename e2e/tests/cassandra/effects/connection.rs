//! One connection: through a parser, or through nothing, to the server.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use remora_parsers::{
    Blame, Direction, Driver, Parser,
    cassandra::Segments,
    codec::{Codec, Decoded},
};

use super::{
    generator::Case,
    rights::{BySlice, RandomPolicy},
};

/// How long the server is waited for where it may well say nothing more.
const QUIET: Duration = Duration::from_millis(1500);

/// What stands between client and server.
pub(crate) enum Forwarder {
    /// The driver with this parser, under the case's policy.
    Parser(Box<dyn Fn() -> Box<dyn Parser>>),
    /// Nothing: every byte passes.
    Blind,
}

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) from_server: Vec<u8>,
    /// Why the parser finds fault with what a real server answers.
    pub(crate) misread: Option<String>,
    /// The server owed an answer and did not give it.
    pub(crate) silent: bool,
}

/// Sends a case's envelopes, and hears the server out.
pub(crate) fn run(
    address: SocketAddr,
    forwarder: &Forwarder,
    policy: &RandomPolicy,
    case: &Case,
) -> Outcome {
    let stream = TcpStream::connect(address).expect("Cassandra accepts");
    stream.set_read_timeout(Some(QUIET)).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    let driver = match forwarder {
        Forwarder::Parser(parser) => Some(Driver::new(parser())),
        Forwarder::Blind => None,
    };
    let mut wire =
        Wire { stream, driver, policy, owed: Owed::default(), outcome: Outcome::default() };
    if !(wire.send(&case.startup) && wire.settle()) {
        return wire.outcome;
    }
    let segmented = case.version == 5;
    wire.owed.segmented = segmented;
    let mut client = Segments::default();
    for envelope in &case.envelopes {
        let mut plain = envelope.clone();
        let bytes = if segmented { client.encode(Direction::Request, &mut plain) } else { plain };
        let goes_on = if envelope.is_empty() { wire.settle() } else { wire.send(&bytes) };
        if !goes_on {
            break;
        }
    }
    wire.settle();
    wire.outcome
}

/// The sockets, and what stands between them.
struct Wire<'a> {
    stream: TcpStream,
    driver: Option<Driver>,
    policy: &'a RandomPolicy,
    owed: Owed,
    outcome: Outcome,
}

impl Wire<'_> {
    /// What the client says. Says whether the connection goes on.
    fn send(&mut self, bytes: &[u8]) -> bool {
        // A parser that pushes back is given what it waits for first.
        while self.driver.as_ref().is_some_and(|driver| !driver.wants(Direction::Request)) {
            if !self.hear() {
                return false;
            }
        }
        let Some(driver) = &mut self.driver else {
            return self.pass_on(bytes);
        };
        let alive = driver.data(Direction::Request, bytes, &mut BySlice(self.policy)).is_ok();
        let out = std::mem::take(driver.output(Direction::Request));
        self.pass_on(&out) && alive
    }

    fn pass_on(&mut self, bytes: &[u8]) -> bool {
        self.owed.sent(bytes);
        bytes.is_empty() || self.stream.write_all(bytes).is_ok()
    }

    /// Waits until every request that reached the server is answered.
    fn settle(&mut self) -> bool {
        while self.owed.count() > 0 {
            if !self.hear() {
                return false;
            }
        }
        true
    }

    /// Takes what the server says next.
    fn hear(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        let length = match self.stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(length) => length,
            Err(error) => {
                let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                self.outcome.silent |= late;
                return false;
            }
        };
        self.owed.heard(&chunk[..length]);
        self.outcome.from_server.extend_from_slice(&chunk[..length]);
        let Some(driver) = &mut self.driver else { return true };
        let result = driver.data(Direction::Reply, &chunk[..length], &mut BySlice(self.policy));
        let out = std::mem::take(driver.output(Direction::Request));
        driver.output(Direction::Reply).clear();
        if let Some(fault) = result.as_ref().err().filter(|fault| fault.blame != Blame::Client) {
            self.outcome.misread = Some(fault.to_string());
        }
        self.pass_on(&out) && result.is_ok()
    }
}

/// How many answers the server owes: whole envelopes that came to it, less those
/// that it has answered.
#[derive(Default)]
struct Owed {
    segmented: bool,
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    wire: Vec<u8>,
    plain: Vec<u8>,
    codec: Segments,
    count: usize,
}

impl Owed {
    fn sent(&mut self, bytes: &[u8]) {
        self.sides[0].take(bytes, self.segmented);
    }

    fn heard(&mut self, bytes: &[u8]) {
        self.sides[1].take(bytes, self.segmented);
    }

    fn count(&self) -> usize {
        self.sides[0].count.saturating_sub(self.sides[1].count)
    }
}

impl Side {
    fn take(&mut self, bytes: &[u8], segmented: bool) {
        if segmented {
            self.wire.extend_from_slice(bytes);
            while let Ok(Decoded::Unit { length, plain }) =
                self.codec.decode(Direction::Request, &self.wire)
            {
                self.plain.extend_from_slice(plain);
                self.wire.drain(..length as usize);
            }
        } else {
            self.plain.extend_from_slice(bytes);
        }
        while let [_, _, _, _, _, b3, b2, b1, b0, ..] = *self.plain {
            let length = 9 + u32::from_be_bytes([b3, b2, b1, b0]) as usize;
            if self.plain.len() < length {
                break;
            }
            self.plain.drain(..length);
            self.count += 1;
        }
    }
}
