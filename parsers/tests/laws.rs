//! The contract's laws: a parser that breaks one loses its connection, and the
//! driver says which.

mod support;

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use remora_parsers::{
    Blame, Direction, Driver, Fault, MAX_HELD_BYTES, MAX_IDLE_INJECTS, Op, Parser, Verdict,
};
use support::{Scripted, Watcher};

use Direction::{Reply, Request};

fn n(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("not zero")
}

/// A driver over a parser that answers these ops and then NOP.
fn driver(ops: impl IntoIterator<Item = Op>) -> Driver {
    Driver::new(Box::new(Scripted::new(ops)))
}

fn denial(data: &'static [u8]) -> Op {
    Op::Inject { into: Reply, data: data.into() }
}

fn fault(driver: &mut Driver, bytes: &[u8]) -> Fault {
    driver.data(Request, bytes, &mut Watcher::allowing()).expect_err("a broken law")
}

#[test]
fn pass_forwards_drop_discards_inject_writes() {
    let mut driver = driver([Op::Pass(n(2)), Op::Drop(n(2)), denial(b"no"), Op::Pass(n(1))]);
    let mut host = Watcher::allowing();
    driver.data(Request, b"abcde", &mut host).expect("lawful");
    assert_eq!(driver.output(Request), b"abe");
    assert_eq!(driver.output(Reply), b"no");
    assert_eq!(host.ops.len(), 4, "the NOP about nothing is not told: {:?}", host.ops);
}

#[test]
fn pass_and_drop_reach_beyond_what_is_there() {
    let mut driver = driver([Op::Pass(n(6)), Op::Drop(n(6)), Op::Pass(n(1))]);
    let mut host = Watcher::allowing();
    for part in [&b"ab"[..], b"cd", b"efgh", b"ij", b"klmn"] {
        driver.data(Request, part, &mut host).expect("lawful");
    }
    assert_eq!(driver.output(Request), b"abcdefm");
    // The last byte is held: the script has no more to say about it.
    assert_eq!(driver.held(), 1);
}

#[test]
fn an_op_of_no_bytes_is_a_fault_of_the_parser() {
    for op in [Op::pass(0), Op::drop(0)] {
        assert_eq!(fault(&mut driver([op]), b"x").blame, Blame::Parser);
    }
    assert_eq!(fault(&mut driver([denial(b"")]), b"x").blame, Blame::Parser);
}

#[test]
fn nothing_follows_more_until_there_is_more() {
    let mut driver = driver([Op::More(n(3)), Op::Pass(n(4))]);
    let mut host = Watcher::allowing();
    for byte in [b"a", b"b", b"c"] {
        driver.data(Request, byte, &mut host).expect("waiting");
        assert_eq!(host.ops.len(), 1, "asked again too soon");
    }
    driver.data(Request, b"d", &mut host).expect("lawful");
    assert_eq!(driver.output(Request), b"abcd");
}

#[test]
fn more_than_is_ever_held_is_a_fault_of_the_parser() {
    let cap = u64::try_from(MAX_HELD_BYTES).expect("fits");
    let mut lawful = driver([Op::More(n(cap - 1))]);
    lawful.data(Request, b"x", &mut Watcher::allowing()).expect("at the cap");
    assert_eq!(fault(&mut driver([Op::More(n(cap))]), b"x").blame, Blame::Parser);
    assert_eq!(fault(&mut driver([Op::More(n(u64::MAX))]), b"x").blame, Blame::Parser);
}

/// Threats row 10: a line or frame that never ends.
#[test]
fn held_bytes_have_a_cap() {
    let mut driver = Driver::new(Box::new(support::NeverEnough));
    let mut host = Watcher::allowing();
    driver.data(Request, &vec![b'x'; MAX_HELD_BYTES], &mut host).expect("at the cap");
    let fault = driver.data(Request, b"x", &mut host).expect_err("one more");
    assert_eq!(fault.blame, Blame::Client);
}

#[test]
fn error_is_final() {
    let mut driver = driver([Op::Pass(n(1)), Op::Error(Fault::client("why")), Op::Pass(n(1))]);
    assert_eq!(fault(&mut driver, b"abc").reason, "why");
    // What was decided before it still leaves; nothing moves after.
    assert_eq!(driver.output(Request), b"a");
    assert_eq!(fault(&mut driver, b"def").reason, "why");
    let mut host = Watcher::allowing();
    assert_eq!(driver.end(Reply, &mut host).expect_err("dead").reason, "why");
    assert_eq!(driver.output(Request), b"a");
    assert!(!driver.wants(Request) && !driver.wants(Reply));
}

#[test]
fn injecting_for_ever_is_a_fault_of_the_parser() {
    let mut lawful = driver((0..MAX_IDLE_INJECTS).map(|_| denial(b"no")));
    lawful.data(Request, b"x", &mut Watcher::allowing()).expect("at the cap");
    let mut unlawful = driver((0..=MAX_IDLE_INJECTS).map(|_| denial(b"no")));
    assert_eq!(fault(&mut unlawful, b"x").blame, Blame::Parser);
}

/// Threats row 12: bytes of ours never land inside a message of the server.
#[test]
fn an_injection_waits_for_the_message_under_way() {
    let mut driver = driver([Op::Pass(n(6)), Op::Drop(n(1)), denial(b"NO"), Op::Pass(n(2))]);
    let mut host = Watcher::allowing();
    driver.data(Reply, b"abc", &mut host).expect("a reply under way");
    driver.data(Request, b"x", &mut host).expect("a request that is denied");
    assert_eq!(driver.output(Reply), b"abc");
    driver.data(Reply, b"defgh", &mut host).expect("the rest, and another reply");
    assert_eq!(driver.output(Reply), b"abcdefNOgh");
}

/// Threats row 17: an end inside a message is no end.
#[test]
fn a_stream_that_ends_inside_a_message_is_refused() {
    let mut waiting = driver([Op::MORE, Op::MORE]);
    let mut host = Watcher::allowing();
    waiting.data(Request, b"ge", &mut host).expect("waiting");
    assert_eq!(waiting.end(Request, &mut host).expect_err("cut").blame, Blame::Client);

    let mut ahead = driver([Op::Pass(n(9))]);
    ahead.data(Reply, b"ge", &mut host).expect("passing");
    assert_eq!(ahead.end(Reply, &mut host).expect_err("cut").blame, Blame::Server);

    let mut clean = driver([Op::Pass(n(2))]);
    clean.data(Request, b"ge", &mut host).expect("passed");
    clean.end(Request, &mut host).expect("a clean end");
    assert!(clean.finished(Request) && !clean.finished(Reply));
}

#[test]
fn a_direction_that_was_pushed_back_is_asked_again_when_the_other_moves() {
    let mut driver = driver([Op::Nop, Op::Pass(n(3)), Op::Pass(n(2))]);
    let mut host = Watcher::allowing();
    driver.data(Request, b"ab", &mut host).expect("pushed back");
    assert!(!driver.wants(Request) && driver.wants(Reply));
    driver.data(Reply, b"xyz", &mut host).expect("moves");
    assert_eq!(driver.output(Reply), b"xyz");
    assert_eq!(driver.output(Request), b"ab");
    assert!(driver.wants(Request));
}

/// Threats row 11: the price of a call does not grow with what is held.
#[test]
fn a_drip_costs_no_more_than_its_calls() {
    let line = [&b"get "[..], &vec![b'k'; 250], b"\r\n"].concat();
    let stream = line.repeat((1 << 20) / line.len());
    let time = |chunk: usize| {
        let parser: Box<dyn Parser> = (remora_parsers::memcache::PROTOCOL.parser)();
        let mut driver = Driver::new(parser);
        let mut host = Watcher::answering(Verdict::Deny);
        let start = Instant::now();
        for part in stream.chunks(chunk) {
            driver.data(Request, part, &mut host).expect("canonical");
            driver.output(Reply).clear();
            host.ops.clear();
        }
        start.elapsed()
    };
    // Other processes only ever add to what it takes: the best of a few rounds
    // is told, and of more where they disturb.
    let (mut bulk, mut drip, mut per_call) = (Duration::MAX, Duration::MAX, u128::MAX);
    for round in 0..30 {
        (bulk, drip) = (bulk.min(time(64 << 10)), drip.min(time(1)));
        per_call = drip.saturating_sub(bulk).as_nanos() / stream.len() as u128;
        if round >= 2 && per_call <= 100 {
            break;
        }
    }
    println!("1 MiB: bulk {bulk:?}, byte by byte {drip:?}: {per_call} ns a call more");
    assert!(per_call <= 100, "{per_call} ns a call");
}
