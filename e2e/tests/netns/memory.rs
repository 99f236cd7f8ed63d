//! What a sidecar holds of the values that pass it: next to nothing.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use remora_netns::Pod;
use serde_json::json;

use crate::stage::{Answer, MEMCACHED, PATIENCE, POLICY, Stage, exchange};

/// Connections that each have a value under way at once: 100 MB together.
const CONNECTIONS: usize = 4;
const VALUE: usize = 25_000_000;

/// What the sidecar may ever hold in memory meanwhile.
const PEAK_KIB: u64 = 12 * 1024;

#[test]
fn memory_stays_flat_with_large_values_in_flight() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", &POLICY.replace("command: get", "command: readWriteGroup"));
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&["-I", "64m", "-m", "512"]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let stream = client.connect(address).expect("connected");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
            stream
        })
        .collect();
    let before = resident(&cache, "VmRSS:");
    let half_set = set(&cache, &mut streams);
    let half_read = get(&cache, &mut streams);
    // The kernel's own count of the peak lags behind by some pages.
    let peak = resident(&cache, "VmHWM:").max(half_set).max(half_read);
    println!(
        "resident memory of a sidecar, {CONNECTIONS} values of {VALUE} bytes in flight: {before} \
         KiB before, {half_set} KiB with half of each sent, {half_read} KiB with half of each \
         read, {peak} KiB at its peak"
    );
    assert!(peak <= PEAK_KIB, "{before} KiB before, {peak} KiB at its peak");
}

/// Sets every value, each half sent before one is finished; returns what the
/// sidecar holds then.
fn set(cache: &Pod, streams: &mut [TcpStream]) -> u64 {
    let half = vec![b'v'; VALUE / 2];
    for (n, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("set pub:{n} 0 0 {VALUE}\r\n").as_bytes()).expect("sent");
        stream.write_all(&half).expect("sent");
    }
    let held = resident(cache, "VmRSS:");
    for stream in streams {
        stream.write_all(&half).expect("sent");
        assert_eq!(exchange(stream, "\r\n"), Answer::Text("STORED\r\n".into()));
    }
    held
}

/// Likewise reads every value: the sidecar has to wait for its clients without
/// taking in what it cannot pass on.
fn get(cache: &Pod, streams: &mut [TcpStream]) -> u64 {
    let mut half = vec![0; VALUE / 2];
    for (n, stream) in streams.iter_mut().enumerate() {
        let head = format!("VALUE pub:{n} 0 {VALUE}\r\n");
        let mut answered = vec![0; head.len()];
        stream.write_all(format!("get pub:{n}\r\n").as_bytes()).expect("sent");
        stream.read_exact(&mut answered).expect("a value");
        assert_eq!(String::from_utf8_lossy(&answered), head);
        stream.read_exact(&mut half).expect("half of it");
    }
    let held = resident(cache, "VmRSS:");
    for stream in streams {
        stream.read_exact(&mut half).expect("the other half");
        assert!(half.iter().all(|byte| *byte == b'v'), "it comes back as it was");
        assert_eq!(exchange(stream, ""), Answer::Text("\r\nEND\r\n".into()));
    }
    held
}

/// A count of the sidecar's resident memory, in KiB.
fn resident(cache: &Pod, name: &str) -> u64 {
    let pid = cache.pid("remora").expect("it runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}
