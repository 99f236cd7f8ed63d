//! What a byte costs that comes by itself. What requests cost is told by
//! `cargo bench -p remora-policy`.

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
