//! What is wrong is named, in the place where its author looks, and soon.

use std::{net::TcpListener, time::Instant};

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    install::{VERDICT, cluster, manifest, rolled_out},
    kubectl::{Kubectl, eventually, expect},
    stage::Stage,
    table::MEMCACHED,
};

#[test]
fn a_refused_policy_says_why_and_its_pods_are_closed() {
    let stage = Stage::set("refused");
    stage.apply(&reading("a/").replace("command: get", "command: git"));
    stage.inject(MEMCACHED);
    stage.apply(CLIENT);
    stage.ready("memcached");
    let condition = eventually("the policy's status says that it is refused", || {
        let policy = stage.get(&["l7policy", "cache"]).ok_or("it is not there")?;
        let condition = policy["status"]["conditions"][0].clone();
        expect(condition["status"] == "False", || policy["status"].to_string())?;
        Ok(condition)
    });
    let message = condition["message"].as_str().unwrap_or_default();
    println!("the status says: {message}");
    // The field, the value, and the remedy.
    for part in ["spec.ingress[0].toPorts[0].rules.l7[0].command", "git", "get"] {
        assert!(message.contains(part), "expected: {part}\nseen: {message}");
    }
    let columns = stage.run(&["get", "l7policy", "cache"]).expect("a table");
    assert!(columns.contains("ACCEPTED") && columns.contains("False"), "{columns}");
    let mut client = stage.client("client");
    client.reach("memcached:11211");
    assert_eq!(client.ask_anew("memcached:11211", "get a/x\r\n"), Answer::reset(), "closed");
    // Put right, it opens.
    stage.apply(&reading("a/"));
    eventually("the policy that was put right is in force", || {
        let answer = client.ask_anew("memcached:11211", "get a/x\r\n");
        expect(answer == Answer::miss(), || answer.to_string())
    });
}

/// The agent's manifests for a namespace of a test.
fn agent_in(stage: &Stage) -> String {
    manifest("agent.yaml")
        .replace("namespace: remora\n", &format!("namespace: {}\n", stage.namespace))
        .replace("--namespace, remora]", &format!("--namespace, {}]", stage.namespace))
        .replace("priorityClassName: system-cluster-critical", "terminationGracePeriodSeconds: 1")
}

const ACCOUNT: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: remora-agent}}";

/// The cause of a roll-out that cannot succeed, which has to come soon.
fn cause(stage: &Stage) -> String {
    let begin = Instant::now();
    let cause = rolled_out(stage.kubectl, &stage.namespace, "deployment/remora-agent");
    let cause = cause.expect_err("this cannot be rolled out");
    let took = begin.elapsed();
    println!("after {took:?}: {cause}");
    assert!(took.as_secs() < 60, "expected: the cause within 60 s\nseen: after {took:?}");
    cause
}

#[test]
fn an_image_that_is_not_loaded_is_named() {
    let stage = Stage::set("no-image");
    let absent = agent_in(&stage)
        .replace("image: remora/agent:", "image: remora/absent:")
        .replace("imagePullPolicy: IfNotPresent", "imagePullPolicy: Never");
    stage.apply(ACCOUNT);
    stage.apply(&absent);
    let cause = cause(&stage);
    assert!(cause.contains("remora/absent") && cause.contains("load the image"), "{cause}");
}

#[test]
fn an_agent_without_rights_says_which() {
    let stage = Stage::set("no-rights");
    stage.apply(ACCOUNT);
    stage.apply(&agent_in(&stage));
    let cause = cause(&stage);
    for part in ["forbidden", "remora-agent", "pods"] {
        assert!(cause.contains(part), "expected: {part}\nseen: {cause}");
    }
}

#[test]
fn a_kubeconfig_that_answers_nothing_is_named() {
    let own = cluster();
    assert_eq!(own.answers(), Ok(()));
    // One port on which nobody listens, and one whose listener never speaks.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    for address in [refused, silent.local_addr().expect("bound")] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, \
             clusters: [{{name: c, cluster: {{server: \"https://{address}\"}}}}], \
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             users: [{{name: u, user: {{token: none}}}}]}}"
        );
        std::fs::write(&file, text).expect("written");
        let begin = Instant::now();
        let why = Kubectl::new(&file).answers().expect_err("nobody is there");
        println!("after {:?}: {why}", begin.elapsed());
        assert!(begin.elapsed() < VERDICT, "expected: the cause within {VERDICT:?}");
        assert!(why.contains(&file.display().to_string()), "{why}");
    }
}
