//! What the harness's own tests share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use remora_netns::{Image, Images, Node, Pod};
use serde_json::{Value, json};

const SHIM: &str = env!("CARGO_BIN_EXE_remora-shim");

/// A node with two images: this machine's distribution, and [`server`]'s.
pub(crate) fn node() -> Node {
    node_with(Images::new())
}

/// A node with these images as well.
pub(crate) fn node_with(images: Images) -> Node {
    let images = images
        .with("host", Image::distro(&[]))
        .with("peer", Image::program(&example("peer_server")));
    Node::with_shim(images, Path::new(SHIM)).expect("these tests need root and iproute2")
}

/// Cargo builds examples beside the programs before it runs tests.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(SHIM).with_file_name("examples").join(name)
}

/// A container that answers HTTP on port 8080 with the client's address.
#[allow(dead_code, reason = "not every test file needs it")]
pub(crate) fn server() -> Value {
    json!({ "name": "server", "image": "peer" })
}

/// A pod whose containers are `containers`.
pub(crate) fn pod(name: &str, containers: Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "test" } },
        "spec": { "terminationGracePeriodSeconds": 1 },
    });
    manifest["spec"]["containers"] = containers;
    manifest
}

/// A container that runs a shell script.
pub(crate) fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "host", "command": ["/bin/sh", "-c", script] })
}

/// Runs it without reporting to anybody.
pub(crate) fn run(node: &Node, manifest: &Value) -> Pod {
    node.run_pod(manifest, |_| Ok(())).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until `condition` holds.
#[allow(dead_code, reason = "not every test file needs it")]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) const LIMIT: Duration = Duration::from_secs(10);
