//! The kubelet's probes and hooks of an injected pod, under default deny.

use std::{
    io::{BufRead as _, BufReader},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    client::Answer,
    edits::CLIENT,
    kubectl::{PATIENCE, eventually, expect},
    stage::{Stage, is_ready},
};

/// An app that listens 10 s late, with a probe of each kind.
const LATE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: late, labels: {app: late}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: remora-test/app:test
    imagePullPolicy: Never
    args: [web, "8080", "10"]
    ports: [{name: http, containerPort: 8080}]
    startupProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 1
      failureThreshold: 60
    readinessProbe:
      tcpSocket: {port: 8080}
      periodSeconds: 1
      failureThreshold: 1
    livenessProbe:
      httpGet:
        path: /healthz
        port: http
        httpHeaders: [{name: X-Probe, value: liveness}]
      periodSeconds: 1
      failureThreshold: 5
    lifecycle:
      preStop:
        httpGet: {path: /hook, port: 8080}
"#;

const NOBODY: &str = r#"
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {name: nobody}
spec:
  endpointSelector: {matchLabels: {app: late}}
  ingress: [{}]
"#;

fn app(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

#[test]
fn probes_see_the_app_and_not_the_sidecar() {
    let stage = Stage::set("probes");
    stage.apply(NOBODY);
    stage.inject(LATE);
    stage.apply(CLIENT);

    // Not ready while the app does not listen, although the sidecar does.
    let started = eventually("the app has started, and is not ready", || {
        let pod = stage.get(&["pod", "late"]).ok_or("it is not there")?;
        let running = &app(&pod)["state"]["running"];
        expect(running.is_object(), || pod["status"].to_string())?;
        Ok(running["startedAt"].clone())
    });
    eventually("the app is probed before it listens, in vain", || {
        let text = stage.run(&["describe", "pod", "late"])?;
        expect(text.contains("Startup probe failed"), || text)
    });
    let pod = stage.get(&["pod", "late"]).expect("the pod");
    let listens = stage.run(&["logs", "late"]).expect("a log").contains("listening");
    assert!(!is_ready(&pod) && !listens, "{}", pod["status"]);
    stage.ready("late");
    let log = stage.run(&["logs", "late"]).expect("a log");
    assert!(log.contains("listening on 8080"), "{log}");

    // Each kind reaches the app, as it was written.
    for (kind, line) in [
        ("startup", "GET /healthz"),
        ("liveness", "X-Probe: liveness"),
        ("readiness", "a connection"),
    ] {
        eventually(&format!("the {kind} probe reaches the app"), || {
            let log = stage.run(&["logs", "late"])?;
            let held = log.to_lowercase().contains(&line.to_lowercase());
            expect(held, || log)
        });
    }
    let pod = stage.get(&["pod", "late"]).expect("the pod");
    assert_eq!(app(&pod)["restartCount"], 0, "{}", pod["status"]);
    assert_eq!(app(&pod)["state"]["running"]["startedAt"], started, "{}", pod["status"]);

    only_the_probes_pass(&stage, &pod);
    when_the_app_stops_listening(&stage);
    hook_before_the_end(&stage);
}

/// Nobody else reaches the app, by its port or by way of the probes'.
fn only_the_probes_pass(stage: &Stage, pod: &Value) {
    let address = pod["status"]["podIP"].as_str().expect("an address");
    let mut client = stage.client("client");
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: late\r\nConnection: close\r\n\r\n");
    assert_eq!(client.ask_anew(&format!("{address}:8080"), &get("/healthz")), Answer::reset());
    for path in
        ["/", "/healthz", "/probe/app/other", "/probe/other/liveness", "/probe/app/liveness/x"]
    {
        let answer = client.ask_anew(&format!("{address}:16021"), &get(path));
        let Answer::Reply(reply) = &answer else { panic!("{path}: {answer}") };
        assert!(reply.starts_with("HTTP/1.1 404"), "{path}: {reply}");
    }
    // The hooks are the node's alone.
    let answer = client.ask_anew(&format!("{address}:16021"), &get("/lifecycle/app/preStop"));
    assert!(
        !matches!(&answer, Answer::Reply(reply) if reply.starts_with("HTTP/1.1 2")),
        "{answer}"
    );
    let log = stage.run(&["logs", "late"]).expect("a log");
    assert!(!log.contains("/hook"), "a client called a hook: {log}");
}

fn when_the_app_stops_listening(stage: &Stage) {
    let stop = [
        "exec",
        "late",
        "--",
        "/remora-test-app",
        "ask",
        "127.0.0.1:8080",
        "GET /stop HTTP/1.1\r\n",
    ];
    stage.run(&stop).expect("the app is told to stop listening");
    eventually("the pod is not ready any more", || {
        let pod = stage.get(&["pod", "late"]).ok_or("it is not there")?;
        expect(!is_ready(&pod), || pod["status"].to_string())
    });
    eventually("the kubelet restarts the app", || {
        let pod = stage.get(&["pod", "late"]).ok_or("it is not there")?;
        expect(app(&pod)["restartCount"] != 0, || pod["status"].to_string())
    });
    stage.ready("late");
}

/// Follows the log to the pod's end, since it ends with the pod.
fn hook_before_the_end(stage: &Stage) {
    let args = ["-n", &stage.namespace, "logs", "-f", "late"];
    let mut follow = stage.kubectl.command(&args).spawn().expect("kubectl logs starts");
    let lines = BufReader::new(follow.stdout.take().expect("a pipe"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let log: Vec<_> = lines.lines().map_while(Result::ok).collect();
        let _ = sender.send(log.join("\n"));
    });
    stage.run(&["delete", "pod", "late"]).expect("deleted");
    let log = receiver.recv_timeout(PATIENCE + Duration::from_secs(5)).expect("the log's end");
    let _ = follow.wait();
    assert!(log.contains("GET /hook"), "expected: the preStop hook reaches the app\nseen: {log}");
}
