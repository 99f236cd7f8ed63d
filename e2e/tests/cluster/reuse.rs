//! A pod's address comes to another pod, which must not be taken for the first.
//!
//! The pods' range is filled up, so that the next pod gets the one address that
//! was freed. That takes a small range, which the suite's own cluster has.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    agent_away::Away,
    client::Answer,
    edits::{CLIENT, reading},
    kubectl::{eventually, expect},
    stage::{Stage, is_ready, items},
    table::MEMCACHED,
};

/// The most pods that are made to fill the range.
const FILLERS: usize = 100;

/// What the address range's keeper says when it is full.
const NONE_LEFT: &str = "no IP addresses available";

/// For how long the newcomer asks, over and over.
const SECONDS: &str = "6";

/// Asks from its first moment on, with labels that no rule allows.
fn newcomer(server: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: newcomer, labels: {{role: newcomer}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: remora-test/app:test
    imagePullPolicy: Never
    args: [hammer, "{server}", get a/x, "{SECONDS}"]
"#
    )
}

/// What a pod that took over an address was let do with it.
struct Takeover {
    asked: u64,
    allowed: u64,
    last_allowed_ms: u64,
}

#[test]
fn a_pod_at_a_used_address_is_not_judged_as_the_one_before() {
    let stage = Stage::set("reuse");
    stage.apply(&reading("a/"));
    stage.inject(MEMCACHED);
    stage.ready("memcached");
    stage.accepted("cache");
    stage.apply(CLIENT);
    stage.ready("client");
    let fillers = fill(&stage);

    let injected = take_over(&stage, Stage::inject);
    println!("injected newcomer: allowed {} of {} requests", injected.allowed, injected.asked);
    assert_eq!(injected.allowed, 0, "an injected pod is not served before its address is its own");

    let plain = take_over(&stage, Stage::apply);
    println!(
        "newcomer without a sidecar: allowed {} of {} requests, the last after {} ms",
        plain.allowed, plain.asked, plain.last_allowed_ms
    );
    assert!(plain.allowed < plain.asked, "expected: judged as itself in the end");

    cut_off(&stage, fillers);
}

/// Without the agent nobody tells the sidecar: until it is back, the address
/// stands for the pod that it knew there. That is the documented window.
fn cut_off(stage: &Stage, fillers: usize) {
    restore_client(stage);
    let address = address(stage, "client");
    let away = Away::send(stage);
    // The agent's own address is free now, too.
    scale(stage, fillers + 1);
    stage.run(&["delete", "pod", "client"]).expect("deleted");
    stage.apply(&CLIENT.replace(
        "name: client, labels: {role: client}",
        "name: newcomer, labels: {role: newcomer}",
    ));
    assert_eq!(address_of_newcomer(stage), address, "the one address that is free");
    let mut newcomer = stage.client("newcomer");
    let server = stage.service("memcached", 11211);
    println!("cut off, the newcomer's first answer: {}", newcomer.ask_anew(&server, "get a/x\r\n"));
    scale(stage, fillers);
    away.is_over();
    eventually("the newcomer is judged as itself once the agent is back", || {
        let answer = newcomer.ask_anew(&server, "get a/x\r\n");
        expect(answer == Answer::reset(), || answer.to_string())
    });
    drop(newcomer);
    stage.run(&["delete", "pod", "newcomer"]).expect("deleted");
}

/// Deletes the client and puts a newcomer at its address; returns what the
/// newcomer was let do.
fn take_over(stage: &Stage, put: impl Fn(&Stage, &str)) -> Takeover {
    restore_client(stage);
    let server = stage.service("memcached", 11211);
    let mut client = stage.client("client");
    eventually("the client is let in", || {
        let answer = client.ask_anew(&server, "get a/x\r\n");
        expect(answer == Answer::miss(), || answer.to_string())
    });
    drop(client);
    let address = address(stage, "client");
    stage.run(&["delete", "pod", "client"]).expect("deleted");
    put(stage, &newcomer(&server));
    assert_eq!(address_of_newcomer(stage), address, "the one address that is free");
    let log = eventually("the newcomer has asked", || {
        let log = stage.run(&["logs", "newcomer", "-c", "app"])?;
        serde_json::from_str::<Value>(log.trim()).map_err(|_| log)
    });
    stage.run(&["delete", "pod", "newcomer"]).expect("deleted");
    let count = |name: &str| log[name].as_u64().unwrap_or_else(|| panic!("no {name} in {log}"));
    Takeover {
        asked: count("asked"),
        allowed: count("allowed"),
        last_allowed_ms: count("last_allowed_ms"),
    }
}

fn restore_client(stage: &Stage) {
    stage.apply(CLIENT);
    stage.ready("client");
}

fn address(stage: &Stage, pod: &str) -> String {
    let object = stage.get(&["pod", pod]).expect("the pod");
    object["status"]["podIP"].as_str().expect("an address").to_owned()
}

fn address_of_newcomer(stage: &Stage) -> String {
    eventually("the newcomer has an address", || {
        let pod = stage.get(&["pod", "newcomer"]).ok_or("it is not there")?;
        pod["status"]["podIP"].as_str().map(str::to_owned).ok_or_else(|| pod["status"].to_string())
    })
}

/// Pods until no address is left, and then no pod that waits for one. Returns
/// how many.
fn fill(stage: &Stage) -> usize {
    let fillers = format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: fillers}}
spec:
  replicas: {FILLERS}
  selector: {{matchLabels: {{role: filler}}}}
  template:
    metadata: {{labels: {{role: filler}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: app, image: "remora-test/app:test", imagePullPolicy: Never, args: [idle]}}
"#
    );
    stage.apply(&fillers);
    let placed = eventually("every pod has an address, or was told that none is left", || {
        let events = stage.get(&["events"]).ok_or("no events")?;
        let refused: BTreeSet<_> = items(&events)
            .filter(|event| event["message"].as_str().unwrap_or_default().contains(NONE_LEFT))
            .filter_map(|event| event["involvedObject"]["name"].as_str())
            .collect();
        let pods = stage.get(&["pods", "-l", "role=filler"]).ok_or("no pods")?;
        let (ready, others): (Vec<_>, Vec<_>) = items(&pods).partition(|pod| is_ready(pod));
        let starting = others.iter().filter(|pod| {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            !refused.contains(name)
        });
        let (starting, all) = (starting.count(), ready.len() + others.len());
        let full = all == FILLERS && !others.is_empty() && starting == 0;
        expect(full, || {
            format!("{} pods of {all} are ready, {starting} are starting", ready.len())
        })?;
        Ok(ready.len())
    });
    scale(stage, placed);
    println!("{placed} pods fill the range");
    placed
}

/// Pods without an address go first.
fn scale(stage: &Stage, fillers: usize) {
    let replicas = format!("--replicas={fillers}");
    stage.run(&["scale", "deployment/fillers", &replicas]).expect("scaled");
    eventually("every filler has an address", || {
        let pods = stage.get(&["pods", "-l", "role=filler"]).ok_or("no pods")?;
        let all = items(&pods).count();
        let ready = items(&pods).filter(|pod| is_ready(pod)).count();
        expect((all, ready) == (fillers, fillers), || format!("{ready} of {all} pods have one"))
    });
}
