//! Choosing among processes of a `/proc` that the test writes: what a pod does
//! with real namespaces is shown in `e2e/tests/netns/finder.rs`.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const UID: &str = "7a01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4";
const OTHER: &str = "00000000-1111-2222-3333-444444444444";

struct Stage {
    root: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { root: TempDir::new().unwrap() };
        stage.process(1, "init", 1, "/", "node", "192.0.2.1");
        stage
    }

    /// A process that started then, in this control group and this network, which
    /// has this address.
    fn process(&self, pid: u32, name: &str, started: u64, group: &str, network: &str, ip: &str) {
        let (folder, nets) =
            (self.root.path().join(pid.to_string()), self.root.path().join("nets"));
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::create_dir_all(folder.join("net")).unwrap();
        fs::create_dir_all(&nets).unwrap();
        fs::write(nets.join(network), "").unwrap();
        symlink(nets.join(network), folder.join("ns/net")).unwrap();
        fs::write(folder.join("cgroup"), format!("4:cpu:{group}\n0::/\n")).unwrap();
        fs::write(folder.join("net/fib_trie"), format!("|-- {ip}\n /32 host LOCAL\n")).unwrap();
        let between = "S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0";
        fs::write(folder.join("stat"), format!("{pid} ({name}) {between} {started} 0\n")).unwrap();
    }

    fn find(&self, uid: &str, ip: &str) -> Option<u32> {
        let proc = self.root.path().to_owned();
        let search = Search { node: inode(&proc.join("1")).ok(), proc };
        let ips = [ip.parse().unwrap()];
        // Others before and after it.
        let others = [("0", &ips[..]), (uid, &ips), ("z", &ips)];
        let found = search.find(&others).unwrap();
        assert_eq!((found[0], found[2]), (None, None));
        found[1].map(|found| found.pid)
    }
}

fn group(uid: &str) -> String {
    format!("/kubepods/burstable/pod{uid}/4711")
}

#[test]
fn the_oldest_process_with_the_pods_addresses_is_its_network() {
    let stage = Stage::new();
    stage.process(30, "app", 300, &group(UID), "own", "10.0.0.7");
    stage.process(20, "pause) S 9", 200, &group(UID), "own", "10.0.0.7");
    // It was started before, as a number that has been used up comes again.
    stage.process(10, "late", 400, &group(UID), "posed", "10.0.0.7");
    stage.process(40, "other", 100, &group(OTHER), "others", "10.0.0.7");
    assert_eq!(stage.find(UID, "10.0.0.7"), Some(20));
    assert_eq!(stage.find(OTHER, "10.0.0.7"), Some(40));
    assert_eq!(stage.find(UID, "10.0.0.8"), None, "no network of its own has that address");
}

#[test]
fn what_is_in_the_nodes_network_or_has_other_addresses_is_passed_over() {
    let stage = Stage::new();
    stage.process(20, "conmon", 200, &group(UID), "node", "10.0.0.7");
    stage.process(21, "tunnel", 201, &group(UID), "made", "172.16.0.1");
    assert_eq!(stage.find(UID, "10.0.0.7"), None);
    stage.process(22, "pause", 202, &group(UID), "own", "10.0.0.7");
    assert_eq!(stage.find(UID, "10.0.0.7"), Some(22));
}

#[test]
fn a_pod_with_networks_without_end_is_not_looked_into_without_end() {
    let networks = u32::try_from(MAX_NETWORKS).unwrap();
    let stage = Stage::new();
    for number in 0..networks {
        let name = format!("made-{number}");
        stage.process(100 + number, "x", 1000 + u64::from(number), &group(UID), &name, "10.9.9.9");
    }
    stage.process(50, "pause", 5000, &group(UID), "own", "10.0.0.7");
    assert_eq!(stage.find(UID, "10.0.0.7"), None, "the ninth");
    fs::remove_dir_all(stage.root.path().join("100")).unwrap();
    assert_eq!(stage.find(UID, "10.0.0.7"), Some(50), "the eighth");
}

#[test]
fn what_is_told_of_a_process_is_read_up_to_its_cap_and_not_beyond() {
    let stage = Stage::new();
    stage.process(20, "pause", 200, "", "own", "10.0.0.7");
    let (line, end) = (format!("0::/kubepods/pod{UID}"), "4::/\n");
    let most = usize::try_from(MAX_FILE).unwrap() - line.len() - end.len();
    for (padding, found) in [(most, Some(20)), (most + 1, None)] {
        let text = format!("4:{}:/\n{line}", "x".repeat(padding));
        fs::write(stage.root.path().join("20/cgroup"), &text).unwrap();
        assert_eq!(stage.find(UID, "10.0.0.7"), found, "{} bytes", text.len());
    }
}

#[test]
fn a_process_that_is_another_by_now_is_no_longer_the_pods() {
    let stage = Stage::new();
    stage.process(20, "pause", 200, &group(UID), "own", "10.0.0.7");
    let proc = stage.root.path().to_owned();
    let search = Search { node: None, proc };
    let own = inode(&search.folder(20)).unwrap();
    let found = Found { started: 200, pid: 20, inode: own };
    assert!(search.is_there(&found));
    assert!(!search.is_there(&Found { started: 201, ..found }), "another process");
    assert!(!search.is_there(&Found { inode: own + 1, ..found }), "another network");
    assert!(!search.is_there(&Found { pid: 21, ..found }), "nobody");
    assert_eq!(search.path(&found), search.folder(20).join("ns/net"));
}

#[test]
fn this_nodes_processes_can_be_looked_at() {
    let search = Search::new();
    let own = std::process::id();
    assert!(started(&search.folder(own)).is_some());
    assert_eq!(search.find(&[]).unwrap(), []);
}
