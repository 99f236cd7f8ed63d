//! Who gets a slice from the agent, and whom a sidecar believes to be the agent.

use serde_json::{Value, json};

use crate::{
    edits::CLIENT,
    kubectl::{eventually, expect},
    stage::{Stage, remora},
    table::MEMCACHED,
};

/// An authority that nobody here has signed anything with.
const OTHER_AUTHORITY: &str = include_str!("manifests/other-authority.pem");

/// An injected memcached with a name of its own, as JSON that can be changed.
fn injected(stage: &Stage, name: &str) -> Value {
    let pod = MEMCACHED.split("\n---").next().unwrap_or_default();
    let pod = pod.replace("name: memcached\n  labels", &format!("name: {name}\n  labels"));
    let yaml = remora(&["inject", "-f", "-"], &pod);
    let create = ["-n", &stage.namespace, "create", "--dry-run=client", "-o", "json", "-f", "-"];
    let text = stage.kubectl.feed(&create, &yaml).expect("a pod");
    serde_json::from_str(&text).expect("JSON")
}

fn volume<'a>(pod: &'a mut Value, name: &str) -> &'a mut Value {
    let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
    volumes.iter_mut().find(|volume| volume["name"] == name).expect("the volume")
}

/// A pod whose token is one that was asked for with these arguments.
fn with_token(stage: &Stage, name: &str, arguments: &[&str]) -> Value {
    let token = stage.run(&[&["create", "token", "default"], arguments].concat()).expect("a token");
    let literal = format!("--from-literal=token={}", token.trim());
    stage.run(&["create", "secret", "generic", name, &literal]).expect("a secret");
    let mut pod = injected(stage, name);
    *volume(&mut pod, "remora-token") =
        json!({"name": "remora-token", "secret": {"secretName": name}});
    pod
}

/// Applies the pod, and waits until `kubectl describe` says why it waits.
fn refused(stage: &Stage, pod: &Value, words: &[&str]) {
    let name = pod["metadata"]["name"].as_str().expect("a name");
    stage.apply(&pod.to_string());
    let why = eventually(&format!("{name} waits, and says why with {words:?}"), || {
        let text = stage.run(&["describe", "pod", name])?;
        let probes = text.lines().filter(|line| line.contains("Startup probe failed"));
        let mut probes = probes.filter(|line| words.iter().all(|word| line.contains(word)));
        probes.next().map(str::to_owned).ok_or_else(|| text.clone())
    });
    println!("{name}: {}", why.trim());
    let object = stage.get(&["pod", name]).expect("the pod");
    let started = object["status"]["containerStatuses"][0]["started"] == true;
    assert!(!started, "{name}'s app runs: {}", object["status"]);
}

const FOR_US: &str = "--audience=remora-agent";

#[test]
fn only_a_live_injected_pod_gets_a_slice_with_a_token_of_its_own() {
    let stage = Stage::set("tokens");
    stage.apply(CLIENT);
    stage.ready("client");

    let mut other_audience = injected(&stage, "other-audience");
    volume(&mut other_audience, "remora-token")["projected"]["sources"][0]["serviceAccountToken"]
        ["audience"] = json!("somebody-else");
    refused(&stage, &other_audience, &["audience"]);

    refused(&stage, &with_token(&stage, "no-pod", &[FOR_US]), &["pod"]);

    let plain = ["--bound-object-kind=Pod", "--bound-object-name=client", FOR_US];
    refused(&stage, &with_token(&stage, "not-injected", &plain), &["client"]);

    // A token ends with its pod, however long it was given.
    let mut gone = with_token(&stage, "gone", &plain);
    gone["metadata"]["name"] = json!("gone");
    stage.run(&["delete", "pod", "client"]).expect("deleted");
    refused(&stage, &gone, &["token"]);

    let control = injected(&stage, "control");
    stage.apply(&control.to_string());
    eventually("a pod with its own token is served", || {
        let pod = stage.get(&["pod", "control"]).ok_or("it is not there")?;
        expect(pod["status"]["containerStatuses"][0]["started"] == true, || {
            pod["status"].to_string()
        })
    });
}

#[test]
fn a_sidecar_tells_nothing_to_who_is_not_the_agent() {
    let stage = Stage::set("authority");
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other-authority"},
        "data": {"ca.crt": OTHER_AUTHORITY},
    });
    stage.apply(&map.to_string());
    let mut pod = injected(&stage, "misled");
    volume(&mut pod, "remora-ca")["configMap"]["name"] = json!("other-authority");
    refused(&stage, &pod, &["certificate"]);
}
