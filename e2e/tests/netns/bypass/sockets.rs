//! Which sockets one needs.

use std::net::SocketAddr;

use remora_netns::Pod;
use serde_json::json;

use super::{Walled, packets, root};
use crate::egress::{POLICY, addresses};
use crate::stage::{Answer, MEMCACHED, Stage, ask, eventually, miss, stat};

/// What a SYN flag and a FIN flag are in a segment's header.
const SYN: &str = "2";
const SYN_AND_FIN: &str = "3";

/// Counts TCP that comes to a pod, without connection tracking.
fn count_arrivals(pod: &Pod) {
    let count = ["iptables", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "11211"];
    assert_eq!(pod.netns_exec(&count).expect("it runs").code, 0);
}

fn arrivals(pod: &Pod) -> u64 {
    packets(pod, "raw", "PREROUTING", "dpt:11211")
}

/// NET_RAW lets an app mark its packets: no rule looks at marks.
#[test]
fn no_mark_leads_around_the_wall() {
    let walled = Walled::set(&json!({"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}));
    // What other meshes' rules look at, our uid, and our own mark of connections.
    for mark in ["1", "1337", "16006", "65536"] {
        for to in [walled.shut.ipv4().into(), walled.shut.ipv6().into()] {
            assert_eq!(walled.sends(&[], "mark", to, mark), "reset", "{mark}");
        }
    }
}

#[test]
fn no_device_leads_around_the_wall() {
    let walled = Walled::set(&root());
    let before = stat(&walled.shut, "total_connections");
    for to in [walled.shut.ipv4().into(), walled.shut.ipv6().into()] {
        // What is bound to a device cannot be led to loopback, nor away from it.
        for device in ["eth0", "lo"] {
            assert_ne!(walled.sends(&[], "device", to, device), "END", "{device}");
        }
    }
    assert_eq!(stat(&walled.shut, "total_connections") - before, 1, "the counting itself is one");
}

/// A raw socket's packets are redirected as any other; README: a packet
/// socket's, which NET_RAW allows as well, pass below all rules.
#[test]
fn a_packet_socket_leads_around_the_wall_and_a_raw_one_does_not() {
    let walled = Walled::set(&json!({"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}));
    count_arrivals(&walled.shut);
    let to = walled.shut.ipv4().into();
    let redirected = || packets(&walled.caller, "nat", "REMORA_OUTBOUND", "redir ports 16001");
    let before = redirected();
    assert_eq!(walled.sends(&[], "raw", to, SYN), "");
    assert_eq!((redirected() - before, arrivals(&walled.shut)), (1, 0));

    let link = walled.shut.netns_exec(&["ip", "-o", "link", "show", "eth0"]).expect("it runs");
    let (_, mac) = link.stdout.split_once("link/ether ").expect("an address");
    let mac = mac.split(' ').next().expect("an address");
    assert_eq!(walled.sends(&[], "packet", to, mac), "");
    eventually("it arrives", || arrivals(&walled.shut) == 1);
}

/// What connection tracking takes for no connection `nat` never sees.
#[test]
fn invalid_packets_go_nowhere() {
    let walled = Walled::set(&json!({"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}));
    count_arrivals(&walled.shut);
    let to = walled.shut.ipv4().into();
    let dropped = || packets(&walled.caller, "mangle", "REMORA_OUTBOUND", "INVALID");
    assert_eq!(walled.sends(&[], "raw", to, SYN_AND_FIN), "dropped");
    assert_eq!((dropped(), arrivals(&walled.shut)), (1, 0));
    // Nor do others' come in.
    let (own, port) = (walled.caller.ipv4().to_string(), MEMCACHED.to_string());
    let python = ["python3", "-c", super::PACKETS, "raw", &own, &port, SYN_AND_FIN];
    assert_eq!(walled.shut.netns_exec(&python).expect("it runs").code, 0);
    let dropped = || packets(&walled.caller, "mangle", "REMORA_INBOUND", "INVALID");
    eventually("it is dropped", || dropped() == 1);
    // Without the guard the app's would pass.
    let unguarded = ["iptables", "-t", "mangle", "-F", "REMORA_OUTBOUND"];
    assert_eq!(walled.caller.netns_exec(&unguarded).expect("it runs").code, 0);
    assert_eq!(walled.sends(&[], "raw", to, SYN_AND_FIN), "");
    eventually("it passes", || arrivals(&walled.shut) == 1);
}

/// Threats row 100: nobody else may borrow the pod's identity.
#[test]
fn the_outbound_listener_serves_nobody_else() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let (open, neighbour) = (stage.server("open"), stage.client("neighbour", &json!({})));
    let caller = stage.caller(|_| {});
    let before = stat(&open, "total_connections");
    for ip in [caller.ipv4().into(), caller.ipv6().into()] {
        let answer = ask(&neighbour, SocketAddr::new(ip, 16001), "get a\r\n");
        assert_eq!(answer, Answer::Refused, "{ip}");
    }
    let listening = caller.netns_exec(&["ss", "-Hltn", "sport = :16001"]).expect("it runs").stdout;
    let at: Vec<_> = listening.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(at.len(), 2, "{listening}");
    assert!(at.contains(&"127.0.0.1:16001") && at.contains(&"[::1]:16001"), "{listening}");
    // Nor does the app get anywhere by dialling it: there is no destination.
    for address in ["127.0.0.1:16001", "[::1]:16001"] {
        let answer = ask(&caller, address.parse().expect("an address"), "get a\r\n");
        assert!(matches!(answer, Answer::Reset | Answer::Closed), "{address}: {answer:?}");
    }
    assert_eq!(stat(&open, "total_connections") - before, 1, "the counting itself is one");
    assert_eq!(ask(&caller, addresses(&open)[0], "get a\r\n"), miss());
}

/// Threats row 101: neither through oneself nor through somebody else's proxy.
#[test]
fn nothing_goes_round_in_circles() {
    let stage = Stage::set();
    let (caller, cache) = (stage.caller(|_| {}), stage.cache(&[]));
    let own = [caller.ipv4().into(), caller.ipv6().into()];
    let others = [cache.ipv4().into(), cache.ipv6().into()];
    for ip in own.into_iter().chain(others) {
        for port in [16000, 16001, 16006] {
            let answer = ask(&caller, SocketAddr::new(ip, port), "get a\r\n");
            let nowhere = matches!(answer, Answer::Reset | Answer::Closed | Answer::Refused);
            assert!(nowhere, "{ip}:{port}: {answer:?}");
        }
    }
    assert_eq!(ask(&caller, (cache.ipv4(), MEMCACHED).into(), "get a\r\n"), miss());
    for pod in [&caller, &cache] {
        stage.assert_no_restart(pod);
    }
}

crate::node_mode::in_node_mode! {
    no_mark_leads_around_the_wall,
    no_device_leads_around_the_wall,
    a_packet_socket_leads_around_the_wall_and_a_raw_one_does_not,
    invalid_packets_go_nowhere,
    the_outbound_listener_serves_nobody_else,
    nothing_goes_round_in_circles,
}
