//! What the chart says twice, and what programs of ours say too.

use std::{collections::BTreeSet, fs};

use remora_injector::{InjectConfig, LIMITS, ProxyMode, inject};
use serde_json::{Value, json};

use crate::{find, objects, rendered, root};

/// Our two containers as they are injected, with all that a pod may ask for.
fn ours(mode: ProxyMode) -> [Value; 2] {
    let probe = json!({"tcpSocket": {"port": 80}});
    let mut annotations = json!({
        "remora.dev/access-log": "text", "remora.dev/access-log-fields": "key",
        "remora.dev/drain-delay": "1s", "remora.dev/drain-timeout": "1s", "remora.dev/threads": "2",
    });
    for limit in LIMITS {
        let unit = if limit.variable.ends_with("_SECONDS") { "s" } else { "" };
        annotations[limit.annotation] = format!("{}{unit}", limit.least).into();
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "readinessProbe": probe}]},
    });
    let pod = inject(&pod, &InjectConfig { mode, ..InjectConfig::default() }).expect("injectable");
    let all = pod["spec"]["initContainers"].as_array().expect("containers").clone();
    all.try_into().expect("two containers")
}

fn names(sidecar: &Value) -> BTreeSet<String> {
    let env = sidecar["env"].as_array().expect("an environment");
    env.iter().map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
}

/// The policy's text is no code that could be called from here; the suite on a cluster shows what it
/// refuses. Here: what it lists is what we inject.
#[test]
fn the_second_net_is_cut_to_what_is_injected() {
    let all = objects(&rendered(&[]).expect("rendered"));
    let policy = &find(&all, "ValidatingAdmissionPolicy", "remora-pods")["spec"];
    let text = policy["validations"].to_string();
    let [init, sidecar] = ours(ProxyMode::Sidecar);
    let quoted = |list: &Value| list.to_string().replace('"', "'").replace(',', ", ");
    assert!(text.contains(&format!("== {}", quoted(&sidecar["args"]))), "{}", sidecar["args"]);
    let said: Vec<_> =
        init["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    // Pairs that are always there stand in the pattern as they are, or as one that may be.
    for pair in said.chunks(2).map(|pair| pair.join(" ")) {
        assert!(text.contains(&pair), "the init container is told {pair}");
    }
    let command = &sidecar["startupProbe"]["exec"]["command"];
    assert!(text.contains(&quoted(command)), "the sidecar is asked with {command}");
    let listed: BTreeSet<_> =
        text.split('\'').filter(|word| word.starts_with("REMORA_")).map(str::to_owned).collect();
    let injected = names(&sidecar);
    assert_eq!(injected, listed, "what is injected, and what is taken");
    for entry in sidecar["env"].as_array().expect("an environment") {
        if let Some(path) = entry["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            assert!(text.contains(&format!("== '{path}'")), "{path}");
        }
    }
    for mount in sidecar["volumeMounts"].as_array().expect("mounts") {
        let path = mount["mountPath"].as_str().expect("a path");
        assert!(text.contains(&format!("== '{path}'")), "{path}");
    }
    let config = InjectConfig::default();
    let params = &find(&all, "ConfigMap", "remora-pods")["data"];
    assert_eq!(params["initImages"], config.init_image);
    assert_eq!(params["sidecarImages"], config.sidecar_image);
    let agent =
        sidecar["env"].as_array().expect("env").iter().find(|one| one["name"] == "REMORA_AGENT");
    let given = |name: &str| {
        let variables = policy["variables"].as_array().expect("variables");
        variables.iter().find(|one| one["name"] == name).expect(name)["expression"].clone()
    };
    assert_eq!(given("agent"), agent.expect("an agent")["value"].to_string());
    assert_eq!(given("initImages"), json!([config.init_image]).to_string());
    assert_eq!(given("sidecarImages"), json!([config.sidecar_image]).to_string());
    assert_eq!(given("maySkipIn"), "[]");
    assert_eq!(given("mode"), "\"sidecar\"");
}

/// What waits for the node's proxy is told apart by having no `restartPolicy`, and has of the
/// sidecar's variables all but those that say where the agent is.
#[test]
fn the_second_net_knows_pods_that_their_nodes_serve() {
    let all = objects(&rendered(&["mode=node"]).expect("rendered"));
    let policy = &find(&all, "ValidatingAdmissionPolicy", "remora-pods")["spec"];
    let mode = json!({"name": "mode", "expression": "\"node\""});
    assert!(policy["variables"].as_array().expect("variables").contains(&mode));
    let ([_, sidecar], [_, waiting]) = (ours(ProxyMode::Sidecar), ours(ProxyMode::Node));
    assert_eq!((waiting.get("restartPolicy"), waiting.get("volumeMounts")), (None, None));
    let text = policy["validations"].to_string();
    let args = waiting["args"].to_string().replace('"', "'").replace(',', ", ");
    assert!(text.contains(&format!("== {args}")), "{args}");
    let (more, fewer) = (names(&sidecar), names(&waiting));
    let only: Vec<_> = more.difference(&fewer).map(String::as_str).collect();
    assert_eq!(only, ["REMORA_AGENT", "REMORA_CA", "REMORA_SNAPSHOT", "REMORA_TOKEN"]);
    let listed = "!variables.onNode && e.name in ['REMORA_AGENT', 'REMORA_CA', 'REMORA_TOKEN', 'REMORA_SNAPSHOT']";
    assert!(text.contains(listed), "{text}");
    assert!(fewer.is_subset(&more), "{fewer:?}");
}

/// The proxies of nodes are there where pods may need them, known to the agent, and have of the
/// node's powers those that they cannot do without.
#[test]
fn nodes_have_proxies_in_their_mode_and_as_long_as_they_are_kept() {
    let account = "\"--node-account\",\"remora/remora-node\"";
    let all = objects(&rendered(&[]).expect("rendered"));
    assert!(!all.iter().any(|object| object["metadata"]["name"] == "remora-node"));
    assert!(!find(&all, "Deployment", "remora-agent").to_string().contains("--node-account"));
    for (values, mode) in [(["mode=node"], "node"), (["node.keep=true"], "sidecar")] {
        let all = objects(&rendered(&values).expect("rendered"));
        assert!(find(&all, "Deployment", "remora-agent").to_string().contains(account));
        let injector = find(&all, "Deployment", "remora-injector").to_string();
        assert!(injector.contains(&format!("\"--mode\",\"{mode}\"")), "{injector}");
        let spec = &find(&all, "DaemonSet", "remora-node")["spec"]["template"]["spec"];
        assert_eq!((&spec["hostPID"], spec.get("hostNetwork")), (&json!(true), None));
        assert_eq!(spec["serviceAccountName"], "remora-node");
        let rights = all
            .iter()
            .filter(|object| object["kind"].as_str().is_some_and(|kind| kind.contains("Role")));
        for object in rights {
            assert!(!object.to_string().contains("remora-node"), "{object}");
        }
        let [proxy, endpoints] = [0, 1].map(|at| &spec["containers"][at]);
        assert_eq!(proxy["volumeMounts"], endpoints["volumeMounts"], "files name files");
        for (container, more) in
            [(proxy, vec!["SYS_ADMIN", "SYS_PTRACE"]), (endpoints, vec!["SYS_PTRACE"])]
        {
            let expected = ["SETGID", "SETUID"].into_iter().chain(more).collect::<Vec<_>>();
            let capabilities = &container["securityContext"]["capabilities"];
            assert_eq!(*capabilities, json!({"drop": ["ALL"], "add": expected}));
            assert!(container["securityContext"].get("privileged").is_none());
        }
    }
}

/// Everything that an image is named by is allowed by the second net, also by digest.
#[test]
fn images_are_allowed_as_they_are_injected() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let set = format!("images.sidecar.digest={digest}");
    let values = ["images.registry=r.example", set.as_str(), "images.previous.init={old/init:1}"];
    let all = objects(&rendered(&values).expect("rendered"));
    let params = &find(&all, "ConfigMap", "remora-pods")["data"];
    assert_eq!(params["sidecarImages"], format!("r.example/remora/sidecar@{digest}"));
    assert_eq!(params["initImages"], "r.example/remora/init:0.1.0,old/init:1");
    let injector = find(&all, "Deployment", "remora-injector").to_string();
    assert!(injector.contains(&format!("\"r.example/remora/sidecar@{digest}\"")), "{injector}");
}

#[test]
fn the_agents_rights_are_those_of_deploy_and_the_injectors_certificate() {
    let deployed = fs::read_to_string(root().join("deploy/rbac.yaml")).expect("a file");
    let deployed = objects(&deployed);
    let charted = objects(&rendered(&[]).expect("rendered"));
    let rules = |all: &[Value], kind: &str| -> BTreeSet<String> {
        let rules = find(all, kind, "remora-agent")["rules"].as_array().expect("rules").clone();
        rules.iter().map(Value::to_string).collect()
    };
    let (mine, theirs) = (rules(&charted, "ClusterRole"), rules(&deployed, "ClusterRole"));
    assert!(theirs.is_subset(&mine), "{:#?}", theirs.difference(&mine));
    let more: BTreeSet<_> = mine.difference(&theirs).cloned().collect();
    assert_eq!(more.len(), 2, "the owner, and webhooks' bundles: {more:#?}");
    // The handler is reached by whoever reaches its port: it may hardly do anything.
    let injector = find(&charted, "ClusterRole", "remora-injector")["rules"].to_string();
    for word in ["secrets", "\"*\"", "delete", "update", "patch"] {
        assert!(!injector.contains(word), "{word} in {injector}");
    }
    let own = &find(&charted, "Role", "remora-injector")["rules"];
    assert_eq!(own.as_array().expect("rules").len(), 1);
    assert_eq!(own[0]["resourceNames"], json!(["remora-injector-tls"]));
}

/// The chart's version is the workspace's, in both places, and its images'.
#[test]
fn the_chart_is_of_this_version() {
    let text = fs::read_to_string(root().join("charts/remora/Chart.yaml")).expect("a file");
    let [chart] = objects(&text).try_into().expect("one");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
}

/// Prometheus makes a target of each port that a container declares, and of no other.
#[test]
fn what_is_scraped_is_what_pods_declare() {
    let all = objects(&rendered(&["monitoring.podMonitor.enabled=true"]).expect("rendered"));
    let endpoints = &find(&all, "PodMonitor", "remora-sidecars")["spec"]["podMetricsEndpoints"];
    for mode in [ProxyMode::Sidecar, ProxyMode::Node] {
        let [_, proxy] = ours(mode);
        assert_eq!(endpoints[0]["portNumber"], proxy["ports"][0]["containerPort"], "{mode:?}");
        assert!(endpoints[0]["portNumber"].is_u64());
    }
}
