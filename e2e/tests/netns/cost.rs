//! What the sidecar costs, beside no sidecar at all: printed, and bounded.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use remora_netns::Pod;
use serde_json::json;

use crate::stage::{MEMCACHED, POLICY, Stage, ask as ask_once, denied, eventually, stat};

const CLIENTS: usize = 4;
const REQUESTS: usize = 3000;
const IDLE: usize = 800;

/// A connection that does nothing may cost the sidecar so much.
const MOST_IDLE_BYTES: u64 = 16 << 10;

/// A request may cost it so much of a processor, in this build.
const MOST_CPU: Duration = Duration::from_millis(1);

/// One way to memcached, measured.
struct Measured {
    per_second: f64,
    /// Of the sidecar, for each request.
    cpu: Duration,
}

#[test]
fn direct_l4_and_l7() {
    let stage = Stage::set();
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    // Without a sidecar in between: the pod's own way to itself.
    let loopback = SocketAddr::from(([127, 0, 0, 1], MEMCACHED));
    let direct = measure(&cache, &cache, loopback);
    let open = measure(&client, &cache, address);
    stage.write_policy("cache.yaml", &POLICY[..POLICY.find("      rules:").expect("rules")]);
    eventually("the policy is in force", || in_force(&cache, "\"rules\":1"));
    let l4 = measure(&client, &cache, address);
    stage.write_policy("cache.yaml", POLICY);
    eventually("the filter is in force", || {
        // One that was forwarded unseen till then is reset.
        ask_once(&client, address, "get sec:a\r\n") == denied()
    });
    let l7 = measure(&client, &cache, address);
    for (name, way) in [("no policy", &open), ("L4", &l4), ("L7", &l7)] {
        println!(
            "{name}: {:.0} requests/s, {:.2} of direct; {:?} of the sidecar's processor a request",
            way.per_second,
            way.per_second / direct.per_second,
            way.cpu
        );
        assert!(way.cpu < MOST_CPU, "{name}: {:?}", way.cpu);
    }
    println!("direct: {:.0} requests/s", direct.per_second);
    let idle = idle_bytes(&client, &cache, address);
    println!("an idle connection under a parser: {idle} bytes of the sidecar's memory");
    assert!(idle < MOST_IDLE_BYTES, "{idle} bytes");
}

/// Whether the sidecar says so of its policy.
fn in_force(cache: &Pod, words: &str) -> bool {
    let Ok(mut admin) = cache.connect(([127, 0, 0, 1], 16000).into()) else { return false };
    let mut answer = String::new();
    let asked = admin.write_all(b"GET /policy HTTP/1.1\r\nHost: sidecar\r\n\r\n");
    asked.and_then(|()| admin.read_to_string(&mut answer)).is_ok_and(|_| answer.contains(words))
}

fn measure(from: &Pod, cache: &Pod, to: SocketAddr) -> Measured {
    let streams: Vec<_> = (0..CLIENTS).map(|_| from.connect(to).expect("connected")).collect();
    let (begun, used) = (Instant::now(), processor(cache));
    thread::scope(|scope| {
        for stream in streams {
            scope.spawn(|| ask(stream));
        }
    });
    let requests = u32::try_from(CLIENTS * REQUESTS).expect("few");
    Measured {
        per_second: f64::from(requests) / begun.elapsed().as_secs_f64(),
        cpu: (processor(cache) - used) / requests,
    }
}

fn ask(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("an option");
    for _ in 0..REQUESTS {
        stream.write_all(b"get pub:a\r\n").expect("sent");
        assert_eq!(reply(&mut stream), "END\r\n");
    }
}

fn reply(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 64];
    let length = stream.read(&mut buffer).expect("a reply");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// The processor time that the sidecar has used.
fn processor(cache: &Pod) -> Duration {
    let pid = cache.pid("remora").expect("it runs");
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let used = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

fn idle_bytes(client: &Pod, cache: &Pod, address: SocketAddr) -> u64 {
    let before = cache.rss_kib("remora").expect("it runs");
    let held = stat(cache, "curr_connections");
    let streams: Vec<_> = (0..IDLE)
        .map(|_| {
            let mut stream = client.connect(address).expect("connected");
            stream.write_all(b"get pub:a\r\n").expect("sent");
            assert_eq!(reply(&mut stream), "END\r\n");
            stream
        })
        .collect();
    assert!(stat(cache, "curr_connections") >= held + IDLE as u64, "they are all there");
    let after = cache.rss_kib("remora").expect("it runs");
    drop(streams);
    after.saturating_sub(before) * 1024 / IDLE as u64
}
