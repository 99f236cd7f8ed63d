//! Pods that the proxy of their node serves: the chart's mode `node`, and the way back.

use std::thread;

use remora_injector::{InjectConfig, ProxyMode, inject};
use serde_json::{Value, json};

use crate::{
    agent_away::Away,
    client::{Answer, Client, Connection},
    edits::{CLIENT, reading},
    install::NAMESPACE,
    kubectl::{eventually, expect},
    stage::{Stage, items, remora},
    table::MEMCACHED,
    webhook::{
        chart::{Labelled, WEBHOOKS, believed, chart, charts, has_sidecar, helm, plain, upgrade},
        second_net::{env_of, injected},
    },
};

const PROXIES: &str = "daemonset/remora-node";

/// New pods are served by their node until this is dropped.
struct OnNodes;

impl OnNodes {
    fn take() -> Self {
        let mode = Self;
        let chart = charts().join("remora");
        level("restricted");
        let upgrade_at_once =
            ["upgrade", "remora", chart.to_str().expect("UTF-8"), "-n", NAMESPACE];
        let error = helm(&[&upgrade_at_once[..], &["--set", "mode=node"]].concat());
        let error = error.expect_err("Pod Security would refuse the proxies");
        assert!(error.contains("than level restricted of Pod Security allows"), "{error}");
        level("privileged");
        upgrade(&chart, &["--set", "mode=node"]);
        rolled_out();
        mode
    }

    /// New pods get sidecars, and those of before are served as ever.
    fn is_on_its_way_back(&self) {
        upgrade(&charts().join("remora"), &["--set", "node.keep=true"]);
        believed();
    }
}

impl Drop for OnNodes {
    fn drop(&mut self) {
        if thread::panicking() {
            for container in ["proxy", "endpoints"] {
                let logs = ["-n", NAMESPACE, "logs", PROXIES, "-c", container, "--tail=40"];
                eprintln!("--- {container}\n{}", chart().run(&logs).unwrap_or_else(|error| error));
            }
        }
        upgrade(&charts().join("remora"), &[]);
        level("restricted");
        believed();
    }
}

/// What Pod Security allows where Remora is installed, as `deploy/namespace.yaml` has it or not.
fn level(level: &str) {
    let label = format!("pod-security.kubernetes.io/enforce={level}");
    let name = ["label", "namespace", NAMESPACE, "--overwrite", &label];
    chart().run(&name).expect("labelled");
}

fn rolled_out() {
    let status = ["-n", NAMESPACE, "rollout", "status", PROXIES, "--timeout=60s"];
    chart().run(&status).expect("every node has its proxy");
}

fn proxies() -> Vec<Value> {
    let only = ["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=remora-node"];
    let pods = chart().get(&only).expect("pods");
    items(&pods).cloned().collect()
}

/// Who asks: one whom policy lets read `a/`, and one whom it does not let in. Neither has Remora.
struct Clients {
    friend: Client,
    stranger: Client,
}

impl Clients {
    fn of(stage: &Stage) -> Self {
        for (name, role) in [("friend", "client"), ("stranger", "stranger")] {
            let labels = format!("{{role: {role}, remora.dev/inject: disabled}}");
            let named = CLIENT.replace("name: client", &format!("name: {name}"));
            stage.apply(&named.replace("{role: client}", &labels));
        }
        Self { friend: stage.client("friend"), stranger: stage.client("stranger") }
    }

    /// The friend is answered, or denied, by what it asks for.
    fn are_judged_at(&mut self, server: &str) {
        assert_eq!(self.friend.ask_anew(server, "get a/x\r\n"), Answer::miss(), "{server}");
        assert_eq!(self.friend.ask_anew(server, "get b/x\r\n"), Answer::denied(), "{server}");
    }

    /// The stranger is not let in; that takes as long as an address may be too new to be known.
    fn are_told_apart_at(&mut self, server: &str) {
        self.are_judged_at(server);
        assert_eq!(self.stranger.ask_anew(server, "get a/x\r\n"), Answer::reset(), "{server}");
    }

    /// Nobody is let in, and nothing passes by the proxy.
    fn are_all_turned_away_at(&mut self, server: &str) {
        for client in [&mut self.friend, &mut self.stranger] {
            let answer = client.ask_anew(server, "get a/x\r\n");
            assert!(matches!(answer, Answer::End(_)), "{server} is closed: {answer}");
        }
    }

    fn are_judged_again_at(&mut self, server: &str) {
        eventually(&format!("{server} is served"), || {
            let answer = self.friend.ask_anew(server, "get a/x\r\n");
            expect(answer == Answer::miss(), || answer.to_string())
        });
        self.are_judged_at(server);
    }
}

/// Where a pod's memcached is; a Service would lead to all of them.
fn server(stage: &Stage, pod: &str) -> String {
    stage.ready(pod);
    let pod = stage.get(&["pod", pod]).expect("the pod");
    format!("{}:11211", pod["status"]["podIP"].as_str().expect("an address"))
}

#[test]
fn pods_are_served_by_their_node_until_the_last_of_them_is_renewed() {
    let stage = Labelled::set("node", "enabled");
    stage.apply(&reading("a/"));
    stage.apply(&MEMCACHED.replace("name: memcached\n  labels", "name: older\n  labels"));
    stage.accepted("cache");
    let older = server(&stage, "older");

    let mode = OnNodes::take();
    stage.apply(MEMCACHED);
    let mut clients = Clients::of(&stage);
    let served = server(&stage, "memcached");
    waits_for_its_node_and_has_no_proxy(&stage);
    clients.are_told_apart_at(&served);
    clients.are_judged_at(&older);
    asks_from_a_pod_of_the_node(&stage, &served);
    let open = clients.friend.open(&served).expect("the policy lets the friend in");
    obeys_edits(&stage, &mut clients.friend, &open);

    the_saved_policy_holds_without_the_agent(&stage, &mut clients, &served);
    is_closed_without_its_proxy(&stage, &mut clients, [&served, &older]);
    stage.run(&["delete", "pod", "memcached"]).expect("deleted");
    stage.apply(MEMCACHED);
    let served = server(&stage, "memcached");
    clients.are_judged_at(&served);
    let strict = Labelled::set("node-strict", "enforced");
    nothing_but_either_shape_is_taken(&strict);

    mode.is_on_its_way_back();
    may_be_changed_as_it_is(&strict);
    clients.are_judged_at(&served);
    stage.apply(&plain("newer").to_string());
    assert!(has_sidecar(&stage.get(&["pod", "newer"]).expect("the pod")));
    drop(mode);
    clients.are_all_turned_away_at(&served);
    clients.are_judged_at(&older);
}

fn waits_for_its_node_and_has_no_proxy(stage: &Stage) {
    let pod = stage.get(&["pod", "memcached"]).expect("the pod");
    let waiting = &pod["spec"]["initContainers"][1];
    assert_eq!((waiting.get("restartPolicy"), &waiting["args"][1]), (None, &json!("--wait")));
    let probe = &pod["spec"]["containers"][0]["readinessProbe"]["httpGet"];
    assert_eq!(probe["port"], 16021, "the pod is ready by a call that its node's proxy makes");
    let status = remora(&["status", "-n", &stage.namespace, "-o", "json"], "");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let pods = status["pods"].as_array().expect("pods");
    for (name, mode) in [("memcached", "node"), ("older", "sidecar")] {
        let row = pods.iter().find(|row| row["pod"] == name).expect("a row");
        assert_eq!((&row["mode"], &row["sidecar"]["agentConnected"]), (&json!(mode), &json!(true)));
    }
    let checked = remora(&["check"], "");
    assert!(checked.contains("√ node-proxies: ready on "), "{checked}");
}

/// What such a pod asks goes through its node's proxy as well.
fn asks_from_a_pod_of_the_node(stage: &Stage, served: &str) {
    stage.apply(CLIENT);
    let mut client = stage.client("client");
    client.reach_with(served, "get a/x\r\n");
    assert_eq!(client.ask_anew(served, "get b/x\r\n"), Answer::denied());
}

fn obeys_edits(stage: &Stage, friend: &mut Client, open: &Connection) {
    for (prefix, expected) in [("b/", Answer::denied()), ("a/", Answer::miss())] {
        stage.apply(&reading(prefix));
        eventually("an edit is enforced on the open connection", || {
            let answer = friend.ask(open, "get a/x\r\n");
            expect(answer == expected, || answer.to_string())
        });
    }
}

/// The proxy's container alone is started anew: its image gets another name of the same.
fn the_saved_policy_holds_without_the_agent(stage: &Stage, clients: &mut Clients, served: &str) {
    let away = Away::send(stage);
    let memcached = stage.get(&["pod", "memcached"]).expect("the pod");
    let of_its_node = || {
        let is_it = |proxy: &Value| proxy["spec"]["nodeName"] == memcached["spec"]["nodeName"];
        proxies().into_iter().find(is_it).expect("its proxy")
    };
    let proxy = of_its_node();
    let name = proxy["metadata"]["name"].as_str().expect("a name");
    let image = proxy["spec"]["containers"][0]["image"].as_str().expect("an image");
    let other =
        json!({"spec": {"containers": [{"name": "proxy", "image": format!("docker.io/{image}")}]}});
    chart()
        .run(&["-n", NAMESPACE, "patch", "pod", name, "-p", &other.to_string()])
        .expect("patched");
    eventually("the proxy is another one", || {
        let proxy = of_its_node();
        let statuses = proxy["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let is_new = |one: &&Value| {
            one["name"] == "proxy"
                && one["restartCount"] == 1
                && one["state"]["running"].is_object()
        };
        expect(statuses.iter().any(|one| is_new(&one)), || proxy["status"].to_string())
    });
    clients.are_judged_again_at(served);
    clients.are_told_apart_at(served);
    away.is_over();
    drop(away);
}

/// Whoever is served by the node waits for it, and is served again when there is a proxy; others
/// do not notice.
fn is_closed_without_its_proxy(stage: &Stage, clients: &mut Clients, [served, older]: [&str; 2]) {
    let send = |to: &str| {
        let selector =
            json!({"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": to}}}}});
        chart()
            .run(&["-n", NAMESPACE, "patch", PROXIES, "-p", &selector.to_string()])
            .expect("sent");
    };
    send("nowhere");
    eventually("no node has a proxy", || {
        let there = proxies();
        expect(there.is_empty(), || format!("{there:?}"))
    });
    clients.are_all_turned_away_at(served);
    clients.are_judged_at(older);
    stage.apply(&plain("waiting").to_string());
    eventually("a new pod says what it waits for", || {
        let log = stage.run(&["logs", "waiting", "-c", "remora"])?;
        expect(log.contains("does not answer"), || log.clone())
    });
    send("linux");
    rolled_out();
    clients.are_judged_again_at(served);
    stage.ready("waiting");
}

type Change = fn(&mut Value);

fn ours(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["initContainers"][1]
}

/// What is changed in a pod that its node is to serve, and what the refusal says.
const FORGERIES: [(Change, &str); 8] = [
    (|pod| ours(pod)["args"] = json!(["ready"]), "remora in this pod does not run"),
    (|pod| ours(pod)["args"] = json!(["run"]), "remora in this pod does not run"),
    (|pod| ours(pod)["restartPolicy"] = json!("Always"), "remora in this pod does not run"),
    (|pod| ours(pod)["command"] = json!(["/remora-sidecar"]), "remora in this pod does not run"),
    (|pod| ours(pod)["image"] = json!("evil/sidecar"), "evil/sidecar, none that"),
    (
        |pod| env_of(pod).push(json!({"name": "REMORA_AGENT", "value": "https://evil.example:1"})),
        "the environment of remora",
    ),
    (|pod| drop(env_of(pod).remove(0)), "the environment of remora"),
    (
        |pod| {
            let volumes = pod["spec"]["volumes"].as_array_mut().expect("the account's volume");
            volumes.push(json!({"name": "theirs", "emptyDir": {}}));
            ours(pod)["volumeMounts"] = json!([{"name": "theirs", "mountPath": "/run"}]);
        },
        "volumes is not what",
    ),
];

/// Without the webhook, which puts right what it is asked about.
fn nothing_but_either_shape_is_taken(strict: &Labelled) {
    strict.apply(&plain("kept").to_string());
    let pod = injected(strict);
    let with_sidecar = inject(&plain("older"), &InjectConfig::default()).expect("injectable");
    chart().run(&["delete", WEBHOOKS]).expect("deleted");
    for taken in [&pod, &with_sidecar] {
        strict.tried(taken).expect("either is as we make it");
    }
    let mut unwaited = with_sidecar.clone();
    for field in ["restartPolicy", "startupProbe"] {
        ours(&mut unwaited).as_object_mut().expect("a container").remove(field);
    }
    let mut forged = vec![(unwaited, "remora in this pod does not run")];
    for (change, words) in FORGERIES {
        let mut changed = pod.clone();
        change(&mut changed);
        forged.push((changed, words));
    }
    let wrong = forged.iter().filter_map(|(pod, words)| match strict.tried(pod) {
        Err(error) if error.contains(words) => None,
        outcome => Some(format!("expected {words:?}; seen {outcome:?}")),
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A pod of before, where new ones have sidecars.
fn may_be_changed_as_it_is(strict: &Labelled) {
    let image = "docker.io/remora-test/app:test";
    let other = json!({"spec": {"containers": [{"name": "app", "image": image}]}}).to_string();
    let patch = ["patch", "pod", "kept", "--dry-run=server", "-p", &other];
    strict.run(&patch).expect("its mode is its own");
}

/// What stands where the chart is in mode `sidecar`: a pod that waits for its node would wait
/// for ever.
pub(crate) fn on_its_node(pod: &mut Value) {
    let config = InjectConfig { mode: ProxyMode::Node, ..InjectConfig::default() };
    *pod = inject(&plain("forged"), &config).expect("injectable");
}
