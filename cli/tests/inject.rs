//! `remora inject` and `remora uninject`, as a person at a shell has them.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use remora_manifest::read;
use serde_json::{Value, json};

const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: cart}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cart}
spec:
  template:
    metadata:
      annotations: {remora.dev/memory-limit: 1Gi}
    spec:
      containers:
      - name: app
        ports: [{name: http, containerPort: 8080}]
        livenessProbe:
          httpGet: {port: http}
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: cart-0}
spec:
  containers: [{name: app}]
";

fn remora(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_remora"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // One that refuses its arguments does not read.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn stdout(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

fn values(text: &str) -> Vec<Value> {
    let documents = read(text, "t".as_ref());
    documents.into_iter().map(|document| document.expect("valid").to_json()).collect()
}

/// A variable of the sidecar, which is the second init container of this pod.
fn variable(pod: &Value, name: &str) -> Value {
    let env = pod["spec"]["initContainers"][1]["env"].as_array().expect("a list");
    env.iter()
        .find(|variable| variable["name"] == name)
        .map_or(Value::Null, |it| it["value"].clone())
}

#[test]
fn a_manifest_goes_through_a_pipe_and_back() {
    let injected = remora(&["inject", "-f", "-"], SHOP);
    assert_eq!(stderr(&injected), "<stdin>:1: Service cart is no Pod, left as it is\n");
    let injected = stdout(&injected);
    let after = values(injected);
    let pod = &after[1]["spec"]["template"];
    assert_eq!(variable(pod, "REMORA_AGENT"), "https://remora-agent.remora.svc:16010");
    let probes = r#"{"/probe/app/liveness":{"httpGet":{"port":8080},"timeoutSeconds":1}}"#;
    assert_eq!(variable(pod, "REMORA_PROBES"), probes);
    assert_eq!(pod["spec"]["initContainers"][1]["resources"]["limits"]["memory"], "1Gi");

    let again = remora(&["inject", "-f", "-"], injected);
    assert_eq!(stdout(&again), injected);
    let back = remora(&["uninject", "-f", "-"], injected);
    assert_eq!(values(stdout(&back)), values(SHOP));
}

#[test]
fn a_list_as_kubectl_prints_it_is_taken() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": values(SHOP)}).to_string();
    let injected = remora(&["inject", "-f", "-"], &list);
    let after = values(stdout(&injected));
    let single = remora(&["inject", "-f", "-"], SHOP);
    assert_eq!(after[0]["items"], json!(values(stdout(&single))));
    let back = remora(&["uninject", "-f", "-"], stdout(&injected));
    assert_eq!(json!(values(stdout(&back))[0]).to_string(), list);
}

#[test]
fn the_installation_is_chosen_by_flags() {
    let flags = [
        "inject",
        "-f",
        "-",
        "--agent",
        "https://[fd00::1]:443",
        "--init-image",
        "r/init@sha256:1",
        "--sidecar-image",
        "r/sidecar:2",
    ];
    let pod = values(stdout(&remora(&flags, POD))).remove(0);
    assert_eq!(variable(&pod, "REMORA_AGENT"), "https://[fd00::1]:443");
    assert_eq!(pod["spec"]["initContainers"][0]["image"], "r/init@sha256:1");
    assert_eq!(pod["spec"]["initContainers"][1]["image"], "r/sidecar:2");

    let flags = ["inject", "-f", "-", "--agent-sockets", "/run/x"];
    let pod = values(stdout(&remora(&flags, POD))).remove(0);
    assert_eq!(variable(&pod, "REMORA_AGENT"), "unix:/run/remora/agent.sock");
    assert_eq!(pod["spec"]["volumes"][0]["hostPath"]["path"], "/run/x/default_cart-0");
    let volumes = pod["spec"]["volumes"].as_array().expect("a list").iter();
    let names: Vec<_> = volumes.map(|volume| volume["name"].as_str().expect("a name")).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&"remora-snapshot"), "{names:?}");
}

#[test]
fn the_node_serves_the_pods_that_are_injected_for_it() {
    let flags = ["inject", "-f", "-", "--mode", "node"];
    let injected = remora(&flags, SHOP);
    let after = values(stdout(&injected));
    let spec = &after[1]["spec"]["template"]["spec"];
    assert_eq!(spec["initContainers"][1]["args"], json!(["ready", "--wait"]));
    assert_eq!((spec.get("volumes"), spec["initContainers"][1].get("restartPolicy")), (None, None));
    assert_eq!(variable(&after[1]["spec"]["template"], "REMORA_AGENT"), Value::Null);
    let back = remora(&["uninject", "-f", "-"], stdout(&injected));
    assert_eq!(values(stdout(&back)), values(SHOP));
    let slip = remora(&["inject", "-f", "-", "--mode", "nodes"], SHOP);
    assert_eq!(slip.status.code(), Some(64), "{}", stderr(&slip));
    assert!(stderr(&slip).contains("write sidecar or node"), "{}", stderr(&slip));
    let sockets = remora(&[&flags[..], &["--agent-sockets", "/run/remora"]].concat(), SHOP);
    assert_eq!(sockets.status.code(), Some(2), "{}", stderr(&sockets));
    assert!(stderr(&sockets).contains("leave it out with --mode node"), "{}", stderr(&sockets));
}

#[test]
fn what_is_wrong_is_told_and_nothing_printed() {
    let bad_probe = SHOP.replace("port: http}", "port: web}");
    let bad_annotation = SHOP.replace("memory-limit", "memory-limits");
    let template = "spec.template";
    let table = [
        (
            bad_probe.as_str(),
            format!(
                "remora: <stdin>:17: {template}.spec.containers[0].livenessProbe.httpGet.port: \
                 `web` is the name of no port of this container; \
                 write the port's number, or one of: http\n"
            ),
        ),
        (
            &bad_annotation,
            format!(
                "remora: <stdin>:11: {template}.metadata.annotations[\"remora.dev/memory-limits\"]: \
                 is no annotation of Remora's; did you mean `remora.dev/memory-limit`?\n"
            ),
        ),
        (
            "",
            "remora: no Pod in <stdin>; give a file with Pods or workloads (the file is empty)\n"
                .to_owned(),
        ),
    ];
    for (input, message) in table {
        let output = remora(&["inject", "-f", "-"], input);
        assert_eq!(stderr(&output), message);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    }
    let sockets = remora(&["inject", "-f", "-", "--agent-sockets", "/run/x"], SHOP);
    let message = "remora: <stdin>:6: kind: is StatefulSet, whose pods have no names yet; ";
    assert!(stderr(&sockets).starts_with(message), "{}", stderr(&sockets));
    assert_eq!(sockets.status.code(), Some(2));
    let missing = remora(&["inject", "-f", "no-such-file.yaml"], "");
    assert!(stderr(&missing).starts_with("remora: no-such-file.yaml: "), "{}", stderr(&missing));
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn addresses_that_lead_nowhere_are_refused_at_once() {
    for url in [
        "remora-agent:16010",
        "http://a:1",
        "https://a",
        "https://a:0",
        "https://a:+1",
        "https://a:65536",
        "https://:1",
        "https://a/b:1",
        "https://u@a:1",
        "https://$(A):1",
        "https://[a]:1",
        "https://fd00::1:1",
        "https://[::1:1",
    ] {
        let output = remora(&["inject", "-f", "-", "--agent", url], POD);
        assert_eq!(output.status.code(), Some(64), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains("it has to be https://HOST:PORT"), "{}", stderr(&output));
    }
    let both = ["inject", "-f", "-", "--agent", "https://a:1", "--agent-sockets", "/run"];
    assert_eq!(remora(&both, POD).status.code(), Some(64));
    let relative = remora(&["inject", "-f", "-", "--agent-sockets", "run"], POD);
    assert!(stderr(&relative).contains("it has to begin with /"), "{}", stderr(&relative));
}
