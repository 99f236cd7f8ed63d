//! What peers do to exhaust a sidecar, and what they get.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use remora_netns::Pod;
use serde_json::json;

use crate::{
    by_hand::{ByHand, Sidecar},
    stage::{Answer, MEMCACHED, PATIENCE, POLICY, Stage, ask, eventually, exchange, miss},
};

const DESCRIPTORS: usize = 256;

/// What fits into so many descriptors (docs/limits.md).
const ROOM: usize = 84;

/// A stage with a client that may get what starts with `pub:`.
fn set() -> (Stage, Pod) {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    (stage, client)
}

fn serving(by_hand: &ByHand, through: &[&str], client: &Pod) -> Sidecar {
    let sidecar = by_hand.start(through);
    eventually("it serves", || {
        by_hand.told("/ready").starts_with("HTTP/1.1 200")
            && ask(client, by_hand.address(), "get pub:a\r\n") == miss()
    });
    eventually("nobody is left", || by_hand.metric("remora_connections") == Some(0));
    sidecar
}

#[test]
fn a_storm_on_256_descriptors_is_borne_and_leaves_nothing_behind() {
    let (stage, client) = set();
    let by_hand = ByHand::set(&stage, &[]);
    let limit = format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}");
    let mut sidecar = serving(&by_hand, &["prlimit", &limit], &client);
    for _ in 0..3 {
        let mut storm: Vec<TcpStream> = Vec::new();
        for _ in 0..2 * DESCRIPTORS {
            storm.extend(client.connect(by_hand.address()).ok());
        }
        let served = storm
            .iter_mut()
            .filter_map(|stream| {
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                stream.write_all(b"get pub:a\r\n").ok()?;
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).ok()
            })
            .count();
        assert_eq!(served, ROOM, "of {}", storm.len());
        assert!(by_hand.told("/ready").starts_with("HTTP/1.1 200"), "its own ports have room");
        drop(storm);
        let begun = Instant::now();
        eventually("it recovers", || ask(&client, by_hand.address(), "get pub:a\r\n") == miss());
        println!(
            "a storm of {}: {served} served; the next after {:?}",
            2 * DESCRIPTORS,
            begun.elapsed()
        );
        eventually("nobody is left", || by_hand.metric("remora_connections") == Some(0));
    }
    assert!(sidecar.is_running());
    let open = fs::read_dir(format!("/proc/{}/fd", sidecar.pid())).expect("its files").count();
    assert!(open < 40, "{open} descriptors are open with nobody there");
}

/// Many who ask for much and do not read it: the budget holds, one who asks
/// for little is served all the while, and memory comes back.
#[test]
fn slow_readers_cost_what_the_budget_says_and_no_more() {
    const READERS: usize = 400;
    const VALUE: usize = 900_000;
    let (stage, client) = set();
    let by_hand = ByHand::set(&stage, &[]).with("REMORA_MAX_HELD_BYTES", &(8 << 20).to_string());
    let mut app = by_hand.cache.connect(([127, 0, 0, 1], MEMCACHED).into()).expect("memcached");
    app.write_all(format!("set pub:big 0 0 {VALUE}\r\n").as_bytes()).expect("sent");
    app.write_all(&vec![b'v'; VALUE]).expect("sent");
    assert_eq!(exchange(&mut app, "\r\n"), Answer::Text("STORED\r\n".into()));
    let mut sidecar = serving(&by_hand, &[], &client);
    let before = memory(&sidecar, "VmRSS:");
    let mut readers = Vec::new();
    for n in 0..READERS {
        let Ok(mut reader) = client.connect(by_hand.address()) else { continue };
        // More than fits into the sockets' own buffers.
        let _ = reader.write_all("get pub:big\r\n".repeat(20).as_bytes());
        readers.push(reader);
        if n % 50 == 0 {
            assert_eq!(ask(&client, by_hand.address(), "get pub:a\r\n"), miss());
        }
    }
    let peak = memory(&sidecar, "VmHWM:");
    drop(readers);
    eventually("nobody is left", || by_hand.metric("remora_connections") == Some(0));
    assert_eq!(by_hand.metric("remora_held_bytes"), Some(0));
    let after = memory(&sidecar, "VmRSS:");
    println!(
        "{READERS} readers that do not read: {before} KiB before, {peak} at the peak, {after} after"
    );
    assert!(sidecar.is_running());
    assert!(peak < before + (16 << 10), "{before} KiB before, {peak} KiB at its peak");
}

/// A client that vanishes with its network says nothing more, and takes nothing.
#[test]
fn a_vanished_peer_is_given_up() {
    let (stage, client) = set();
    let by_hand = ByHand::set(&stage, &[]).with("REMORA_PEER_SECONDS", "1");
    let _sidecar = serving(&by_hand, &[], &client);
    let mut stream = client.connect(by_hand.address()).expect("connected");
    assert_eq!(exchange(&mut stream, "get pub:a\r\n"), miss());
    // The request still gets out; no answer gets in, nor any other packet.
    let rule = ["iptables", "-A", "INPUT", "-p", "tcp", "--sport", "11211", "-j", "DROP"];
    let done = client.netns_exec(&rule).expect("iptables");
    assert_eq!(done.code, 0, "{done:?}");
    stream.write_all(b"get pub:a\r\n").expect("sent");
    let begun = Instant::now();
    eventually("it is given up", || by_hand.metric("remora_connections") == Some(0));
    println!("a vanished client was given up after {:?}", begun.elapsed());
    let gone = "remora_connections_total{verdict=\"ERROR\",reason=\"client-gone\"}";
    assert_eq!(by_hand.metric(gone), Some(1));
}

/// A count of a sidecar's memory, in KiB.
fn memory(sidecar: &Sidecar, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", sidecar.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a count");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}
