//! What a request costs: printed, for whoever looks (`--nocapture`).

mod support;

use std::time::{Duration, Instant};

use remora_parsers::{Direction, Driver, Verdict, memcache::PROTOCOL};
use support::Watcher;

/// The best time of three for `rounds` of a request and its reply; the request
/// comes in pieces of this many bytes.
fn best(rounds: usize, request: &[u8], piece: usize, reply: &[u8]) -> Duration {
    let once = || {
        let mut driver = Driver::new((PROTOCOL.parser)());
        let mut host = Watcher::answering(Verdict::Allow);
        let start = Instant::now();
        for _ in 0..rounds {
            for piece in request.chunks(piece) {
                driver.data(Direction::Request, piece, &mut host).expect("canonical");
            }
            driver.data(Direction::Reply, reply, &mut host).expect("possible");
            driver.output(Direction::Request).clear();
            driver.output(Direction::Reply).clear();
            host.ops.clear();
            host.log.clear();
        }
        start.elapsed()
    };
    (0..3).map(|_| once()).min().expect("three")
}

#[test]
fn requests_per_second_and_core() {
    let keys: String = (0..100).map(|n| format!(" key:{n}")).collect();
    let value = "v".repeat(100 << 10);
    let noop = [&b"\x80\x0a"[..], &[0; 22]].concat();
    let noop_reply = [&b"\x81\x0a"[..], &[0; 22]].concat();
    for (what, rounds, request, reply) in [
        ("get", 20_000, b"get key:1\r\n".to_vec(), b"VALUE key:1 0 1\r\nx\r\nEND\r\n".to_vec()),
        ("get of 100 keys", 1_000, format!("get{keys}\r\n").into_bytes(), b"END\r\n".to_vec()),
        ("mg", 20_000, b"mg key:1 v t O1\r\n".to_vec(), b"VA 1 t-1 O1\r\nx\r\n".to_vec()),
        (
            "set of 100 KiB",
            500,
            format!("set k 0 0 {}\r\n{value}\r\n", value.len()).into_bytes(),
            b"STORED\r\n".to_vec(),
        ),
        ("binary noop", 20_000, noop, noop_reply),
    ] {
        let time = best(rounds, &request, request.len(), &reply);
        let second = 1e9 / time.as_nanos().max(1) as f64;
        println!(
            "{what}: {:.0} requests/s, {:.1} MB/s",
            rounds as f64 * second,
            (rounds * (request.len() + reply.len())) as f64 * second / 1e6
        );
        // Far below what it is: a machine under load must not fail this.
        assert!(rounds as f64 * second > 500.0, "{what}: {time:?} for {rounds}");
    }
}

/// A client that sends byte by byte costs little more per byte the longer its
/// line is: what came before is not read again and again.
#[test]
fn a_drip_costs_the_same_for_every_byte() {
    let nanoseconds = |keys: usize, rounds: usize| {
        let keys: String = (0..keys).map(|n| format!(" key:{n:03}")).collect();
        let request = format!("get{keys}\r\n").into_bytes();
        let time = best(rounds, &request, 1, b"END\r\n");
        time.as_nanos() as f64 / (rounds * request.len()) as f64
    };
    let (short, long) = (nanoseconds(1, 2_000), nanoseconds(200, 20));
    println!("drip: {short:.0} ns per byte of a line with 1 key, {long:.0} ns with 200 keys");
    // Were it read again for every byte, it would be a hundred times as much.
    assert!(long <= 10.0 * short, "{short:.0} ns, then {long:.0} ns");
}
