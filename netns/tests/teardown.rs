//! Nothing outlives the owner: not after a drop, a panic, or its death.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{eventually, node, pod, run, shell};
use remora_netns::{Node, Pod};
use serde_json::json;

/// A pod, and a process of it that was started by another one.
fn pod_with_grandchild(node: &Node) -> Pod {
    let pod = run(node, &pod("mortal", json!([shell("main", "sleep 4711 & echo $!; wait")])));
    pod.wait_log("main", |log| log.ends_with('\n'), common::LIMIT).unwrap();
    pod
}

/// The ids on the host of all processes in the PID namespace of `pid`.
fn family(pid: i32) -> Vec<PathBuf> {
    let namespace = |of: &Path| std::fs::read_link(of.join("ns/pid")).ok();
    let wanted = namespace(&PathBuf::from(format!("/proc/{pid}"))).unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let family: Vec<_> =
        processes.filter(|process| namespace(process).as_ref() == Some(&wanted)).collect();
    assert!(family.len() >= 2, "the shell and its child");
    family
}

fn assert_nothing_left(family: &[PathBuf], work: &Path) {
    // A killed process is gone from /proc once its parent, which may be init by
    // now, has reaped it.
    eventually("no process is left", || !family.iter().any(|process| process.join("exe").exists()));
    eventually("no file is left", || !work.exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("remora-node-"), "{mounts}");
    let namespaces = Command::new("ip").args(["netns", "list"]).output().unwrap().stdout;
    assert!(!String::from_utf8(namespaces).unwrap().contains("remora"));
}

#[test]
fn a_drop_leaves_nothing() {
    let node = node();
    let pod = pod_with_grandchild(&node);
    let (family, work) = (family(pod.pid("main").unwrap()), node.work_dir().to_owned());
    assert!(work.exists());
    drop(node);
    drop(pod);
    assert_nothing_left(&family, &work);
}

#[test]
fn a_panic_leaves_nothing() {
    let (tell, told) = std::sync::mpsc::channel();
    let outcome = std::thread::spawn(move || {
        let node = node();
        let pod = pod_with_grandchild(&node);
        tell.send((family(pod.pid("main").unwrap()), node.work_dir().to_owned())).unwrap();
        panic!("as a failed assertion does");
    })
    .join();
    assert!(outcome.is_err());
    let (family, work) = told.recv().unwrap();
    assert_nothing_left(&family, &work);
}

#[test]
fn an_owner_that_was_killed_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = directory.path().join("pod.json");
    let own = pod("orphan", json!([shell("main", "sleep 4711 & sleep 4712; wait")]));
    std::fs::write(&manifest, own.to_string()).unwrap();
    let mut owner = Command::new(common::example("own_pods"))
        .arg(&manifest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = said.take_while(|line| line != "running").collect();
    let find = |key: &str| said.iter().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let pid = find("pid ").parse().unwrap();
    let work = PathBuf::from(find("work "));
    eventually("the shell has a child", || {
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .is_ok_and(|children| !children.is_empty())
    });
    let family = family(pid);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_nothing_left(&family, &work);
}

#[test]
fn the_next_node_sweeps_what_even_the_janitor_could_not() {
    // No process has an id above the kernel's limit.
    let stale = std::env::temp_dir().join("remora-node-99999999-stale");
    let ours = std::env::temp_dir().join(format!("remora-node-{}-ours", std::process::id()));
    std::fs::create_dir_all(stale.join("containers")).unwrap();
    std::fs::create_dir_all(&ours).unwrap();
    let _node = node();
    assert!(!stale.exists());
    assert!(ours.exists());
    std::fs::remove_dir(ours).unwrap();
}
