//! What a user does: label a namespace, apply plain manifests.

use serde_json::json;

use crate::{
    edits::{CLIENT, reading},
    kubectl::{eventually, expect},
    stage::{Stage, items, remora},
    table::{MEMCACHED, true_table},
    webhook::chart::{Labelled, chart, counted, has_sidecar, helm, plain},
};

#[test]
fn the_demo_table_is_true_of_plain_manifests() {
    let alliance = Labelled::set("label-alliance", "enabled");
    true_table(&alliance, &Stage::set("label-rim"), Stage::apply);
    let pod = alliance.get(&["pod", "memcached"]).expect("the server");
    assert!(has_sidecar(&pod));
}

/// A Deployment with settings of its own, and a Job that ends.
const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {remora.dev/cpu-request: 20m, remora.dev/memory-limit: 48Mi, remora.dev/log-level: debug}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: remora-test/app:test
        imagePullPolicy: Never
        args: [web, "8080"]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {role: client}}
    spec:
      restartPolicy: Never
      containers:
      - name: app
        image: remora-test/app:test
        imagePullPolicy: Never
        args: [ask, "memcached:11211", "get a/x"]
"#;

#[test]
fn each_pod_has_its_settings_and_its_log_and_a_job_ends() {
    let stage = Labelled::set("label-kinds", "enabled");
    stage.apply(&reading("a/"));
    stage.apply(MEMCACHED);
    stage.ready("memcached");
    stage.accepted("cache");
    stage.apply(CLIENT);
    stage.client("client").reach_with("memcached:11211", "get a/x\r\n");
    stage.apply(WORKLOADS);
    stage.run(&["rollout", "status", "deployment/web", "--timeout=60s"]).expect("rolled out");
    let pods = stage.get(&["pods", "-l", "app=web"]).expect("pods");
    let sidecar = &pods["items"][0]["spec"]["initContainers"][1];
    assert_eq!(sidecar["resources"]["requests"]["cpu"], "20m", "{sidecar}");
    assert_eq!(sidecar["resources"]["limits"]["memory"], "48Mi", "{sidecar}");
    let level =
        sidecar["env"].as_array().expect("env").iter().find(|one| one["name"] == "REMORA_LOG");
    assert_eq!(level.expect("a level")["value"], "debug");
    let mounts = sidecar["volumeMounts"].to_string();
    assert!(!mounts.contains("kube-api-access"), "the API's token is not the sidecar's: {mounts}");

    eventually("the job is complete, sidecar and all", || {
        let job = stage.get(&["job", "once"]).ok_or("it is not there")?;
        expect(job["status"]["succeeded"] == 1, || job["status"].to_string())
    });
    let pods = stage.get(&["pods", "-l", "job-name=once"]).expect("pods");
    assert!(has_sidecar(&pods["items"][0]), "{pods}");
    eventually("its request is in the server's access log", || {
        let log = stage.run(&["logs", "memcached", "-c", "remora"])?;
        expect(log.contains("\"verdict\":\"FORWARDED\""), || log.clone())
    });
    let event = stage.event("Injected", "web-");
    assert_eq!(event["regarding"]["kind"], "ReplicaSet");

    let status = remora(&["status", "-n", &stage.namespace], "");
    assert!(status.contains("memcached") && status.contains("connected"), "{status}");
}

#[test]
fn who_opts_out_or_cannot_take_part_is_left_alone_and_told() {
    let stage = Labelled::set("label-out", "enabled");
    let mut out = plain("out");
    out["metadata"]["labels"]["remora.dev/inject"] = json!("disabled");
    assert!(!has_sidecar(&stage.tried(&out).expect("taken")));
    let mut host = plain("host");
    host["spec"]["hostNetwork"] = json!(true);
    stage.apply(&host.to_string());
    assert!(!has_sidecar(&stage.get(&["pod", "host"]).expect("the pod")));
    let event = stage.event("NotInjected", "host");
    assert!(event["note"].as_str().expect("a note").contains("node's network"), "{event}");

    let mut slip = plain("slip");
    slip["metadata"]["annotations"] = json!({"remora.dev/cpu-limits": "1"});
    let error = stage.tried(&slip).expect_err("refused");
    assert!(error.contains("did you mean `remora.dev/cpu-limit`?"), "{error}");
    let namespace = &stage.namespace;
    let label = ["label", "namespace", namespace, "remora.dev/inject=yes", "--overwrite"];
    let error = stage.kubectl.run(&label).expect_err("refused");
    assert!(error.contains("which means nothing"), "{error}");
}

/// A dry run leaves nothing behind, but is counted.
#[test]
fn a_dry_run_is_injected_and_leaves_no_event() {
    let stage = Labelled::set("label-dry", "enforced");
    let sample = "remora_injector_reviews_total{result=\"injected\",reason=\"none\"}";
    let before = counted(sample);
    assert!(has_sidecar(&stage.tried(&plain("dry")).expect("taken")));
    assert!(counted(sample) > before);
    // What is told after it is told in order: a story of its own would be there by now.
    stage.apply(&plain("wet").to_string());
    stage.event("Injected", "wet");
    let events = stage.get(&["events.events.k8s.io"]).expect("events");
    let about = |event: &&serde_json::Value| event["regarding"]["name"] == "dry";
    assert_eq!(items(&events).find(about), None);
}

#[test]
fn checks_and_helms_own_test_find_nothing_wrong() {
    let stage = Labelled::set("label-check", "enabled");
    helm(&["test", "remora", "--namespace", "remora", "--timeout=90s"]).expect("helm test");
    let checked = remora(&["check"], "");
    assert!(checked.contains("√ nothing is wrong"), "{checked}");
    let text = remora(&["check", "--pre", "-o", "json"], "");
    let checked: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(checked["good"], true, "{checked}");
    chart();
    stage.apply(CLIENT);
}
