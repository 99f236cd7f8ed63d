//! A sidecar whose container has little memory, in a control group of its own.

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    by_hand::{ByHand, Sidecar},
    stage::{Answer, POLICY, Stage, ask, eventually, exchange},
};

const ROOT: &str = "/sys/fs/cgroup";

/// What the container may take: enough to be idle, and for some hundred clients.
const LIMIT: u64 = 24 << 20;

/// Many more come, each with a request that it does not finish.
const CROWD: usize = 4000;

/// A group of either version, below the root.
struct Group(PathBuf);

impl Group {
    fn new(limit: u64) -> Self {
        let name = format!("remora-test-{}", std::process::id());
        let first = Path::new(ROOT).join("memory");
        let (path, file) = if first.is_dir() {
            (first.join(name), "memory.limit_in_bytes")
        } else {
            fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+memory").expect("root");
            (Path::new(ROOT).join(name), "memory.max")
        };
        fs::create_dir(&path).expect("a control group");
        fs::write(path.join(file), limit.to_string()).expect("a limit");
        Self(path)
    }

    /// What runs a program once its process is in the group.
    fn waits(&self) -> String {
        let name = self.0.file_name().expect("a name").to_string_lossy();
        format!("until grep -q {name} /proc/self/cgroup; do sleep 0.02; done; exec \"$@\"")
    }

    fn add(&self, sidecar: &Sidecar) {
        fs::write(self.0.join("cgroup.procs"), sidecar.pid().to_string()).expect("joined");
    }

    /// The most that it ever took, in bytes.
    fn peak(&self) -> u64 {
        let files = ["memory.max_usage_in_bytes", "memory.peak"];
        let read = |file| fs::read_to_string(self.0.join(file)).ok()?.trim().parse().ok();
        files.into_iter().find_map(read).expect("a peak")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

#[test]
fn a_crowd_is_turned_away_before_the_kernel_ends_the_sidecar() {
    let miss = || Answer::Text("END\r\n".to_owned());
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let group = Group::new(LIMIT);
    let by_hand = ByHand::set(&stage, &["-c", "8192"]);
    let mut sidecar = by_hand.start(&["sh", "-c", &group.waits(), "sh"]);
    group.add(&sidecar);
    eventually("it serves", || ask(&client, by_hand.address(), "get pub:a\r\n") == miss());

    let mut early = client.connect(by_hand.address()).expect("connected");
    assert_eq!(exchange(&mut early, "get pub:a\r\n"), miss());
    let request = format!("get pub:{}", "a".repeat(200));
    let crowd: Vec<TcpStream> = (0..CROWD)
        .filter_map(|_| {
            let mut stream = client.connect(by_hand.address()).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            Some(stream)
        })
        .collect();
    assert!(sidecar.is_running(), "the kernel has ended it: {} bytes", group.peak());
    assert_eq!(exchange(&mut early, "get pub:a\r\n"), miss(), "who was there is served");
    let turned_away = "remora_connections_total{verdict=\"DROPPED\",reason=\"limit-memory\"}";
    let turned_away = by_hand.metric(turned_away).unwrap_or_default();
    println!(
        "of {} clients, {turned_away} were turned away; {} KiB of {} at the peak",
        crowd.len(),
        group.peak() >> 10,
        LIMIT >> 10
    );
    assert!(turned_away > 100, "it had room for all");
    drop(crowd);
    eventually("it serves again", || ask(&client, by_hand.address(), "get pub:a\r\n") == miss());
    assert!(sidecar.is_running());
}
