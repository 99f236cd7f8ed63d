//! What users of kubectl expect of an injected pod, and what is injected.

use std::io::{Read as _, Write as _};

use serde_json::Value;

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    kubectl::{eventually, expect},
    stage::Stage,
    table::MEMCACHED,
};

/// Two ports, one of them under another number, each with a name.
const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {remora.dev/cpu-request: 20m, remora.dev/memory-limit: 48Mi}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: first
        image: remora-test/app:test
        imagePullPolicy: Never
        args: [web, "8080"]
        ports: [{name: one, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: one}, periodSeconds: 1}
      - name: second
        image: remora-test/app:test
        imagePullPolicy: Never
        args: [web, "8081"]
        ports: [{name: two, containerPort: 8081}]
        readinessProbe: {httpGet: {path: /healthz, port: two}, periodSeconds: 1}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cache}
spec:
  serviceName: cache
  selector: {matchLabels: {app: stateful}}
  template:
    metadata: {labels: {app: stateful}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: remora-test/app:test
        imagePullPolicy: Never
        args: [web, "8080"]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {name: one, port: 80, targetPort: one}
  - {name: two, port: 81, targetPort: two}
---
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {name: web}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: client}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}]
"#;

fn sidecar(pod: &Value) -> &Value {
    let containers = pod["spec"]["initContainers"].as_array().expect("init containers");
    containers.iter().find(|container| container["name"] == "remora").expect("a sidecar")
}

#[test]
fn workloads_are_injected_and_their_ports_judged_apart() {
    let stage = Stage::set("workloads");
    stage.inject(WORKLOADS);
    stage.apply(CLIENT);
    for workload in ["deployment/web", "statefulset/cache"] {
        stage.run(&["rollout", "status", workload, "--timeout=60s"]).expect("rolled out");
    }
    let pods = stage.get(&["pods", "-l", "app=web"]).expect("pods");
    let resources = &sidecar(&pods["items"][0])["resources"];
    assert_eq!(resources["requests"]["cpu"], "20m", "{resources}");
    assert_eq!(resources["limits"]["memory"], "48Mi", "{resources}");
    sidecar(&stage.get(&["pod", "cache-0"]).expect("the set's pod"));

    stage.accepted("web");
    let mut client = stage.client("client");
    let request = "GET /healthz HTTP/1.1\r\nHost: web\r\n\r\n";
    ["web:80", "web:81"].into_iter().for_each(|port| client.reach(port));
    // The Service's port is not the pod's: the pod's is what is judged.
    let answer = client.ask_anew("web:80", request);
    assert!(matches!(&answer, Answer::Reply(reply) if reply.contains("200 OK")), "{answer}");
    assert_eq!(client.ask_anew("web:81", request), Answer::reset(), "a port that no rule names");
    assert!(client.open("cache-0.cache:8080").is_err(), "a name that no Service has");
}

#[test]
fn kubectl_and_prometheus_find_what_they_look_for() {
    let stage = Stage::set("manners");
    stage.apply(&reading("a/"));
    stage.inject(MEMCACHED);
    stage.inject(CLIENT);
    stage.ready("memcached");
    stage.accepted("cache");
    // The default container is the app: neither says which it means.
    let mut client = stage.client("client");
    client.reach("memcached:11211");
    assert_eq!(client.ask_anew("memcached:11211", "get a/x\r\n"), Answer::miss());
    assert_eq!(client.ask_anew("memcached:11211", "get b/secret\r\n"), Answer::denied());
    stage.run(&["logs", "memcached"]).expect("the app's log");

    let log = eventually("the access log has both requests", || {
        let log = stage.run(&["logs", "memcached", "-c", "remora"])?;
        let verdicts = ["FORWARDED", "DROPPED"];
        let held =
            verdicts.iter().all(|verdict| log.contains(&format!("\"verdict\":\"{verdict}\"")));
        expect(held, || log.clone())?;
        Ok(log)
    });
    assert!(log.contains("cache ingress[0].toPorts[0].l7[0]"), "{log}");

    let metrics = scrape(&stage);
    for line in [
        "remora_requests_total{l7proto=\"memcache\",verdict=\"FORWARDED\"} 1",
        "remora_requests_total{l7proto=\"memcache\",verdict=\"DROPPED\"} 1",
        "remora_agent_connected 1",
    ] {
        assert!(
            metrics.to_lowercase().contains(&line.to_lowercase()),
            "expected: {line}\nseen: {metrics}"
        );
    }
    assert!(!metrics.contains("secret"), "a key of a request became a label: {metrics}");
}

fn scrape(stage: &Stage) -> String {
    let forward = stage.forward("pod/memcached", 16020);
    let mut stream = forward.connect();
    let request = "GET /metrics HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("UTF-8");
    reply
}
