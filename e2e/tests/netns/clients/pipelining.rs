//! A client that writes everything before it reads anything.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    thread,
};

use crate::stage::PATIENCE;

use super::{Way, Ways};

/// How often the day's requests follow each other.
const ROUNDS: usize = 200;

/// A day's operations: what is done, and the request. What the server counts
/// up over its life, such as CAS numbers, is not asked for.
const DAY: [(&str, &str); 22] = [
    ("set", "set day:a 7 0 5\r\nhello\r\n"),
    ("set without expiry of an empty value", "set day:e 0 0 0\r\n\r\n"),
    ("set of what looks like a reply", "set day:r 0 0 5\r\nEND\r\n\r\n"),
    ("get of one", "get day:a\r\n"),
    ("get of many", "get day:a day:none day:e day:r\r\n"),
    ("get and touch", "gat 3600 day:a day:r\r\n"),
    ("add of what is there", "add day:a 0 0 1\r\nx\r\n"),
    ("replace", "replace day:a 0 0 2\r\n10\r\n"),
    ("append", "append day:a 0 0 1\r\n0\r\n"),
    ("prepend", "prepend day:a 0 0 1\r\n1\r\n"),
    ("increment", "incr day:a 3\r\n"),
    ("decrement", "decr day:a 1\r\n"),
    ("increment of nothing", "incr day:none 3\r\n"),
    ("touch", "touch day:a 3600\r\n"),
    ("meta set", "ms day:m 2 T0 F3\r\nhi\r\n"),
    ("meta get", "mg day:m v f s k O1\r\n"),
    ("meta get of nothing", "mg day:none v\r\n"),
    ("meta arithmetic", "ma day:a v D10\r\n"),
    ("meta delete", "md day:m\r\n"),
    ("delete", "delete day:a\r\n"),
    ("delete of nothing", "delete day:a\r\n"),
    ("meta no-op", "mn\r\n"),
];

/// A day's operations to which nothing is said, save what follows them.
const QUIET: [(&str, &str); 5] = [
    ("set with noreply", "set day:q 0 0 1 noreply\r\n5\r\n"),
    ("increment with noreply", "incr day:q 1 noreply\r\n"),
    ("quiet meta get of nothing", "mg day:none v q\r\n"),
    ("quiet meta set", "ms day:q2 1 q\r\nx\r\n"),
    ("meta no-op", "mn\r\n"),
];

#[test]
fn a_pipelining_client_notices_nothing() {
    let ways = Ways::allowing();
    let requests: String =
        DAY.iter().chain(&QUIET).map(|(_, request)| *request).collect::<String>().repeat(ROUNDS);
    let (direct, through) =
        (converse(&ways, Way::Direct, &requests), converse(&ways, Way::Sidecar, &requests));
    assert_eq!(direct.matches("MN\r\n").count(), 2 * ROUNDS, "the server answered all");
    assert!(direct == through, "direct: {direct}\nthrough the sidecar: {through}");
    let names: Vec<_> = DAY.iter().chain(&QUIET).map(|(name, _)| *name).collect();
    println!("alike, {ROUNDS} times: {}", names.join(", "));

    let requests = DAY.map(|(_, request)| request).concat().repeat(ROUNDS);
    let refusals = ways.denied(|| converse(&ways, Way::Sidecar, &requests));
    assert_eq!(refusals, "CLIENT_ERROR access denied\r\n".repeat(DAY.len() * ROUNDS));
    println!("denied: {} times CLIENT_ERROR access denied", DAY.len() * ROUNDS);
}

/// Sends all, says that it was all, and returns what is answered until the end.
fn converse(ways: &Ways, way: Way, requests: &str) -> String {
    let mut reader = ways.pod(way).connect(ways.address(way)).expect("connected");
    reader.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut writer = reader.try_clone().expect("a second handle");
    let mut replies = String::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(requests.as_bytes()).expect("sent");
            writer.shutdown(Shutdown::Write).expect("sent");
        });
        reader.read_to_string(&mut replies).expect("answered");
    });
    replies
}

crate::node_mode::in_node_mode! {
    a_pipelining_client_notices_nothing,
}
