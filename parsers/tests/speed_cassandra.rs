//! What a request of Cassandra's costs: printed, for whoever looks
//! (`--nocapture`).

mod support;

use std::time::{Duration, Instant};

use remora_parsers::{
    Direction, Driver, Verdict,
    cassandra::{PROTOCOL, Segments},
    codec::Codec,
};
use support::{Watcher, native::*};

/// Ready for requests of a version, with a statement prepared as `id`.
fn ready_for_requests(version: u8) -> (Driver, Watcher) {
    let mut driver = Driver::new((PROTOCOL.parser)());
    let mut host = Watcher::answering(Verdict::Allow);
    let mut say = |direction, bytes: &[u8]| {
        driver.data(direction, bytes, &mut host).expect("canonical");
    };
    say(Direction::Request, &startup(version, &[CQL]));
    say(Direction::Reply, &ready(version));
    say(
        Direction::Request,
        &coded(version, &prepare(version, 1, "SELECT * FROM shop.t WHERE k = ?")),
    );
    say(Direction::Reply, &coded(version, &prepared(version, 1, b"id")));
    (driver, host)
}

/// As it is on the wire.
fn coded(version: u8, envelopes: &[u8]) -> Vec<u8> {
    let mut plain = envelopes.to_vec();
    if version < 5 { plain } else { Segments::default().encode(Direction::Request, &mut plain) }
}

/// The best time of three for `rounds` of a request and its reply; and the most
/// bytes that were held, where the request comes in pieces of 64 KiB.
fn best(version: u8, rounds: usize, request: &[u8], reply: &[u8]) -> (Duration, usize) {
    let mut most = 0;
    let mut once = || {
        let (mut driver, mut host) = ready_for_requests(version);
        let start = Instant::now();
        for _ in 0..rounds {
            for piece in request.chunks(64 << 10) {
                driver.data(Direction::Request, piece, &mut host).expect("canonical");
                most = most.max(driver.held());
                driver.output(Direction::Request).clear();
            }
            driver.data(Direction::Reply, reply, &mut host).expect("possible");
            driver.output(Direction::Reply).clear();
            host.ops.clear();
            host.log.clear();
        }
        start.elapsed()
    };
    let time = (0..3).map(|_| once()).min().expect("three");
    (time, most)
}

#[test]
fn requests_per_second_and_core() {
    let batch_of = |version| {
        let items: Vec<_> = (0..100)
            .map(|n| text_item(&format!("INSERT INTO shop.orders (k, v) VALUES ({n}, 'x')")))
            .collect();
        batch(version, 1, &items)
    };
    let select = "SELECT id, name, total FROM shop.orders WHERE customer = 5 AND day = '2024-06-11' LIMIT 50";
    for version in [4, 5] {
        for (what, rounds, request) in [
            ("QUERY", 10_000, query(version, 1, select)),
            ("EXECUTE", 20_000, execute(version, 1, b"id")),
            ("BATCH of 100", 300, batch_of(version)),
            ("QUERY with 1 MiB", 50, large(version)),
        ] {
            let (request, reply) = (coded(version, &request), coded(version, &void(version, 1)));
            let (time, held) = best(version, rounds, &request, &reply);
            let second = 1e9 / time.as_nanos().max(1) as f64;
            println!(
                "v{version} {what}: {:.0} requests/s, {:.1} MB/s, at most {held} bytes held",
                rounds as f64 * second,
                (rounds * request.len()) as f64 * second / 1e6
            );
            // Far below what it is: a machine under load must not fail this.
            assert!(rounds as f64 * second > 50.0, "{what}: {time:?} for {rounds}");
            assert!(held < 300_000, "{what}: {held} bytes held");
        }
    }
}

/// A value that is never shown to the parser.
fn large(version: u8) -> Vec<u8> {
    let flags: &[u8] = if version < 5 { b"\0\x01\x01" } else { b"\0\x01\0\0\0\x01" };
    let value = long(&vec![b'v'; 1 << 20]);
    let body = [&long(b"INSERT INTO shop.t (k, v) VALUES (1, ?)")[..], flags, &[0, 1], &value];
    envelope(version, 1, QUERY, &body.concat())
}
