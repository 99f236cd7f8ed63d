//! Clients that connect the moment they start.

use serde_json::Value;

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    install::rolled_out,
    kubectl::{eventually, expect},
    stage::{Stage, items},
    table::MEMCACHED,
};

const CLIENTS: usize = 20;

fn clients(server: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: clients}}
spec:
  replicas: {CLIENTS}
  selector: {{matchLabels: {{role: client}}}}
  strategy: {{rollingUpdate: {{maxSurge: 10, maxUnavailable: 10}}}}
  template:
    metadata: {{labels: {{role: client}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: remora-test/app:test
        imagePullPolicy: Never
        args: [once, "{server}", get a/x]
"#
    )
}

/// The address of a pod that starts is in nobody's list yet: it is `unknown`,
/// and waits. The second rollout reuses addresses that the first one had.
#[test]
fn twenty_clients_that_connect_at_once_are_not_denied() {
    let stage = Stage::set("rollout");
    stage.apply(&reading("a/"));
    stage.inject(MEMCACHED);
    stage.ready("memcached");
    stage.accepted("cache");
    let server = stage.service("memcached", 11211);
    stage.apply(&CLIENT.replace("role: client", "role: first"));
    stage.client("client").reach(&server);
    stage.apply(&clients(&server));
    check(&stage, "first");
    stage.run(&["rollout", "restart", "deployment/clients"]).expect("a second rollout");
    check(&stage, "second");
}

fn check(stage: &Stage, which: &str) {
    rolled_out(stage.kubectl, &stage.namespace, "deployment/clients").expect("a rollout");
    let answers = eventually("every client has its answer", || {
        let pods = stage.get(&["pods", "-l", "role=client"]).ok_or("no pods")?;
        let alive = items(&pods).filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let names = alive.filter_map(|pod| pod["metadata"]["name"].as_str());
        let answers: Vec<Value> = names
            .filter_map(|name| serde_json::from_str(stage.run(&["logs", name]).ok()?.trim()).ok())
            .collect();
        expect(answers.len() == CLIENTS, || format!("{} answers", answers.len()))?;
        Ok(answers)
    });
    let mut waits: Vec<u64> = answers.iter().filter_map(|answer| answer["ms"].as_u64()).collect();
    waits.sort_unstable();
    println!("{which} rollout: {CLIENTS} answers after {waits:?} ms");
    let denied: Vec<_> =
        answers.iter().filter(|answer| Answer::of(&answer["answer"]) != Answer::miss()).collect();
    assert!(denied.is_empty(), "expected: no client is denied\nseen: {denied:?}");
}
