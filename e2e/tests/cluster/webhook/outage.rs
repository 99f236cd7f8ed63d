//! While the webhook is away.

use serde_json::Value;

use crate::{
    install::NAMESPACE,
    kubectl::{eventually, expect},
    stage::{Stage, is_ready, items},
    webhook::chart::{Away, Labelled, counted, has_sidecar, plain},
};

fn agents(stage: &Stage) -> Vec<Value> {
    let only = ["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=remora-agent"];
    let pods = stage.kubectl.get(&only).expect("pods");
    items(&pods).cloned().collect()
}

/// Pods of enabled namespaces start and are flagged, those of enforced ones are refused by the
/// API server, others do not notice; and our own start.
#[test]
fn without_a_webhook_enabled_pods_start_flagged_and_enforced_ones_do_not() {
    let (enabled, enforced) =
        (Labelled::set("away-on", "enabled"), Labelled::set("away-strict", "enforced"));
    let other = Stage::set("away-other");
    let away = Away::take();
    enabled.apply(&plain("early").to_string());
    enabled.ready("early");
    assert!(!has_sidecar(&enabled.get(&["pod", "early"]).expect("the pod")));
    let error = enforced.tried(&plain("early")).expect_err("refused");
    assert!(error.contains("enforced.inject.remora.dev"), "{error}");
    other.apply(&plain("other").to_string());
    other.ready("other");

    let before = agents(&other);
    let names: Vec<_> = before.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    other.kubectl.run(&["-n", NAMESPACE, "delete", "pod", names[0]]).expect("deleted");
    eventually("another agent is ready", || {
        let all = agents(&other);
        let is_new =
            |pod: &&Value| !names.contains(&pod["metadata"]["name"].as_str().unwrap_or_default());
        expect(all.iter().filter(is_new).any(is_ready), || format!("{all:?}"))
    });

    drop(away);
    eventually("the pod is counted as missed", || {
        let count = counted("remora_injector_pods{mode=\"enabled\",state=\"missed\"}");
        expect(count >= 1.0, || count.to_string())
    });
    let event = enabled.event("NotInjected", "early");
    assert_eq!((&event["regarding"]["kind"], &event["type"]), (&"Pod".into(), &"Warning".into()));
    let missed = checked();
    assert!(missed.contains(&format!("{}/early", enabled.namespace)), "{missed}");
    enabled.run(&["delete", "pod", "early"]).expect("deleted");
    enabled.apply(&plain("early").to_string());
    enabled.ready("early");
    assert!(has_sidecar(&enabled.get(&["pod", "early"]).expect("the pod")));
    assert!(has_sidecar(&enforced.tried(&plain("late")).expect("taken")));
}

/// What `remora check` prints when something is wrong.
fn checked() -> String {
    let test = std::env::current_exe().expect("a path");
    let program = test.ancestors().nth(2).expect("target/PROFILE").join("remora");
    let mut command = std::process::Command::new(program);
    command
        .arg("check")
        .env("KUBECONFIG", std::env::var_os("REMORA_E2E_KUBECONFIG").expect("a cluster"));
    let output = command.output().expect("remora starts");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("UTF-8")
}
