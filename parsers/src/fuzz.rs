//! What must hold for any bytes at all: bodies of fuzz targets.
//!
//! Each takes bytes and panics where a law is broken. Tests run them over a
//! committed corpus and over random bytes; `fuzz/` puts them under a fuzzer.

use crate::{
    Direction, Driver, Fault, Host, Judge, Op, Protocol, Request, Verdict, cassandra,
    codec::{Codec, Decoded},
    transcript::Transcript,
};

/// A protocol's requests, then its replies: how the bytes are cut changes
/// nothing, and no byte is lost or made up.
///
/// The first byte says which requests are denied, the second where to cut. A
/// NUL NUL SOH behind them parts what the client says from what the server says.
pub fn conversation(protocol: &Protocol, input: &[u8]) {
    let [deny, cut, bytes @ ..] = input else { return };
    let (requests, replies) = part(bytes);
    let whole = play(protocol, *deny, [(requests, 0), (replies, 0)]);
    let cut = usize::from(*cut).saturating_add(1);
    let split = play(protocol, *deny, [(requests, cut), (replies, cut)]);
    assert!(whole.same(&split), "cuts of {cut}: {whole:?} is not {split:?}");
}

/// A transcript's text is read or refused; what is read can be played.
pub fn transcript(protocol: &Protocol, input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(transcript) = Transcript::read(text) else { return };
    let mut driver = Driver::new((protocol.parser)());
    let mut host = Ledger::new(0);
    for step in &transcript.steps {
        let result = match &step.arrival {
            crate::transcript::Arrival::Data(bytes) => driver.data(step.from, bytes, &mut host),
            crate::transcript::Arrival::End => driver.end(step.from, &mut host),
        };
        if result.is_err() {
            break;
        }
    }
}

/// A rule, one `key=value` a line: read in any order it is the same rule.
pub fn rule(protocol: &Protocol, input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let shown = |pairs: &[(&str, &str)]| {
        let rule = protocol.read_rule(pairs.iter().copied()).ok()?;
        let mut shown: Vec<_> =
            rule.iter().map(|c| format!("{}={}", c.key.name, c.value)).collect();
        shown.sort();
        Some(shown)
    };
    let backwards: Vec<_> = pairs.iter().rev().copied().collect();
    assert_eq!(shown(&pairs), shown(&backwards), "the order of keys has a meaning");
}

/// A statement of CQL: what it means does not change with comments and white
/// space around it, and its tables are names.
pub fn statement(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let meaning = cassandra::meaning(text);
    let around = cassandra::meaning(&format!("/* FROM a.b */\n{text}\n-- FROM c.d\r;"));
    assert!(meaning.is_none() || meaning == around, "{meaning:?} is not {around:?}");
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "_.- ".contains(c));
    let names = meaning.iter().flatten().find(|part| part.contains(odd));
    assert_eq!(names, None, "no names");
}

/// Segments of v5: what is decoded says the same when it is encoded anew.
pub fn segments(input: &[u8]) {
    let mut plain = decoded(input).0;
    let all = plain.clone();
    let wire = cassandra::Segments::default().encode(Direction::Request, &mut plain);
    let (mut again, rest) = decoded(&wire);
    again.extend_from_slice(&plain);
    assert!(rest.is_empty() && again == all, "a byte was lost or made up");
}

/// What segments say, and the wire behind the last that is one.
fn decoded(wire: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut codec, mut rest, mut all) = (cassandra::Segments::default(), wire, Vec::new());
    while let Ok(Decoded::Unit { length, plain }) = codec.decode(Direction::Request, rest) {
        all.extend_from_slice(plain);
        rest = usize::try_from(length).ok().and_then(|at| rest.get(at..)).unwrap_or_default();
    }
    (all, rest)
}

fn part(bytes: &[u8]) -> (&[u8], &[u8]) {
    const MARK: &[u8] = b"\0\0\x01";
    let at = bytes.windows(MARK.len()).position(|window| window == MARK);
    let (requests, rest) = at.and_then(|at| bytes.split_at_checked(at)).unwrap_or((bytes, &[]));
    (requests, rest.strip_prefix(MARK).unwrap_or_default())
}

/// What became of a conversation.
#[derive(Debug)]
struct Played {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    fault: Option<Fault>,
    asked: Vec<String>,
}

impl Played {
    fn same(&self, other: &Self) -> bool {
        self.to_server == other.to_server
            && self.to_client == other.to_client
            && self.asked == other.asked
            && self.fault.as_ref().map(|f| &f.reason) == other.fault.as_ref().map(|f| &f.reason)
    }
}

/// Plays both sides, in pieces of the given size; 0 is all at once.
fn play(protocol: &Protocol, deny: u8, sides: [(&[u8], usize); 2]) -> Played {
    let mut driver = Driver::new((protocol.parser)());
    let mut host = Ledger::new(deny);
    let (mut fault, mut came) = (None, 0usize);
    let directions = [Direction::Request, Direction::Reply];
    'sides: for (direction, (bytes, size)) in directions.into_iter().zip(sides) {
        let size = if size == 0 { bytes.len().max(1) } else { size };
        for piece in bytes.chunks(size) {
            came = came.saturating_add(piece.len());
            if let Err(why) = driver.data(direction, piece, &mut host) {
                fault = Some(why);
                break 'sides;
            }
        }
    }
    let to_server = std::mem::take(driver.output(Direction::Request));
    let to_client = std::mem::take(driver.output(Direction::Reply));
    if fault.is_none() {
        host.check(came, to_server.len().saturating_add(to_client.len()), driver.held());
    }
    Played { to_server, to_client, fault, asked: host.asked }
}

/// Counts what was passed, dropped and written, and denies some requests.
struct Ledger {
    deny: u8,
    asked: Vec<String>,
    passed: u64,
    dropped: u64,
    injected: u64,
}

impl Ledger {
    const fn new(deny: u8) -> Self {
        Self { deny, asked: Vec::new(), passed: 0, dropped: 0, injected: 0 }
    }

    /// All that came was passed, dropped or is held. Where an op reached beyond
    /// what was there, it says more than has come.
    fn check(&self, came: usize, left: usize, held: usize) {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let decided = self.passed.saturating_add(self.dropped);
        let accounted = decided.saturating_add(number(held));
        assert!(accounted >= number(came), "{came} bytes came, {accounted} are accounted for");
        let most = self.passed.saturating_add(self.injected);
        assert!(number(left) <= most, "{left} bytes left, {most} were passed or written");
        if accounted == number(came) {
            assert_eq!(number(left), most, "a byte was lost or made up");
        }
    }
}

impl Judge for Ledger {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let mut text = String::new();
        for field in request.fields {
            for value in field.value.iter() {
                text.push_str(&format!("{}={} ", field.name, value.escape_ascii()));
            }
        }
        let nth = u32::try_from(self.asked.len()).unwrap_or(0) % 8;
        self.asked.push(text);
        if self.deny.checked_shr(nth).unwrap_or(0) & 1 == 1 {
            Verdict::Deny
        } else {
            Verdict::Allow
        }
    }
}

impl Host for Ledger {
    fn op(&mut self, _direction: Direction, op: &Op) {
        match op {
            Op::Pass(n) => self.passed = self.passed.saturating_add(n.get()),
            Op::Drop(n) => self.dropped = self.dropped.saturating_add(n.get()),
            Op::Inject { data, .. } => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.injected = self.injected.saturating_add(length);
            }
            Op::More(_) | Op::Error(_) | Op::Nop => {}
        }
    }
}
