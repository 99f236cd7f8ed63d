//! What slices and addresses take: time to compile, and memory once they are.

use std::{
    env, fs,
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant},
};

use remora_api::cilium;
use remora_policy::Hosts;

use crate::{
    ALONE,
    rules::{self, FEW, KINDS, MANY},
};

/// Names what a process of its own is to make, so that nothing else is in its
/// memory.
const MEASURE: &str = "REMORA_MEASURE";

/// What is measured, and the most memory and time that it may take: several
/// times what it does, as a debug build on a busy machine is slow.
const FOOTPRINTS: [(&str, u64, Duration); 7] = [
    ("1000 prefixes", 2 << 10, Duration::from_secs(2)),
    ("literals", 12 << 10, Duration::from_secs(5)),
    ("prefixes", 12 << 10, Duration::from_secs(5)),
    ("expressions that are prefixes", 12 << 10, Duration::from_secs(5)),
    ("expressions", 12 << 10, Duration::from_secs(5)),
    ("a peer each", 24 << 10, Duration::from_secs(5)),
    ("100000 addresses", 24 << 10, Duration::from_secs(5)),
];

fn make(what: &str) -> Box<dyn std::fmt::Debug> {
    match what {
        "1000 prefixes" => Box::new(KINDS[1].slice(1000)),
        "a peer each" => Box::new(rules::one_peer_each(MANY / 2)),
        "100000 addresses" => Box::new(Hosts::compile(&hosts(100_000)).expect("hosts")),
        kind => {
            let kind = KINDS.iter().find(|known| known.name == kind).expect("a kind");
            Box::new(kind.slice(MANY))
        }
    }
}

/// Addresses that pods hold, each with an identity of its own.
fn hosts(count: u32) -> Vec<cilium::NetworkPolicyHosts> {
    let address = |n: u32| Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + n);
    let mut hosts: Vec<_> = (0..count)
        .map(|n| cilium::NetworkPolicyHosts {
            policy: u64::from(n + 256),
            host_addresses: vec![address(n).to_string()],
        })
        .collect();
    hosts.push(cilium::NetworkPolicyHosts { policy: 2, host_addresses: vec!["0.0.0.0/0".into()] });
    hosts.push(cilium::NetworkPolicyHosts { policy: 0, host_addresses: vec!["10.0.0.0/8".into()] });
    hosts
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Makes one thing and prints its time in microseconds and its memory in KiB.
fn measure(what: &str) {
    // Whatever is made once for a process is made here.
    drop(KINDS[1].slice(FEW));
    let (before, start) = (resident(), Instant::now());
    let made = make(what);
    let time = start.elapsed();
    println!("\n{MEASURE} {} {}", time.as_micros(), resident().saturating_sub(before));
    drop(made);
}

#[test]
fn what_slices_and_addresses_take() {
    if let Ok(what) = env::var(MEASURE) {
        return measure(&what);
    }
    let _alone = ALONE.lock();
    let this = env::current_exe().expect("this program");
    for (what, memory, time) in FOOTPRINTS {
        let output = Command::new(&this)
            .args(["--exact", "footprint::what_slices_and_addresses_take", "--nocapture"])
            .env(MEASURE, what)
            .output()
            .expect("starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find_map(|line| line.strip_prefix(MEASURE)).expect("measures");
        let numbers: Vec<u64> = line.split_whitespace().map(|n| n.parse().expect("n")).collect();
        let (taken, kib) = (Duration::from_micros(numbers[0]), numbers[1]);
        println!("{what}: compiled in {taken:.1?}, {kib} KiB");
        assert!(kib <= memory, "{what} takes {kib} KiB");
        assert!(taken <= time, "{what} takes {taken:?}");
    }
}
