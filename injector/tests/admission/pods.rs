//! What is wrong with pods, and what is told of it.

use remora_injector::admission::{
    Answer, Ceiling, Install, Mode, Outcome, Reason, review as review_pod,
};
use remora_injector::{InjectConfig, ProxyMode, inject, proxy_mode};
use serde_json::{Value, json};

use crate::{answer, created, pod, refusal, response, with};

#[test]
fn what_no_namespace_takes_is_refused_by_name() {
    let container = |name: &str| json!({"name": name, "image": "x"});
    let table = [
        ("/spec/initContainers", json!([container("istio-init")]), "Istio", Reason::OtherMesh),
        ("/spec/initContainers", json!([container("linkerd-init")]), "Linkerd", Reason::OtherMesh),
        ("/spec/securityContext", json!({"runAsUser": 16006}), "16006", Reason::Security),
        (
            "/spec/containers/0/securityContext",
            json!({"runAsUser": 16006, "capabilities": {"drop": ["ALL"]}}),
            "spec.containers[0].securityContext.runAsUser",
            Reason::Security,
        ),
        (
            "/spec/initContainers",
            json!([container("remora")]),
            "is a name of Remora's",
            Reason::Pod,
        ),
        (
            "/metadata/annotations",
            json!({"remora.dev/cpu-limits": "1"}),
            "did you mean `remora.dev/cpu-limit`?",
            Reason::Setting,
        ),
        (
            "/metadata/annotations",
            json!({"remora.dev/status": "{}"}),
            "is no status",
            Reason::Setting,
        ),
        (
            "/metadata/labels",
            json!({"remora.dev/inject": "off"}),
            "enabled or disabled",
            Reason::Setting,
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"tcpSocket": {"port": "web"}}),
            "livenessProbe.tcpSocket.port",
            Reason::Probe,
        ),
        ("/spec/containers/0/ports", json!([{"containerPort": 16020}]), "16020", Reason::Port),
    ];
    for mode in [Mode::Enabled, Mode::Enforced] {
        for (pointer, value, words, reason) in &table {
            let pod = with(pointer, value.clone());
            let sentence = refusal(&pod, mode);
            assert!(sentence.contains(words), "{sentence}");
            let way_out = sentence.contains("remora.dev/inject=disabled");
            assert_eq!(way_out, mode == Mode::Enabled, "{sentence}");
            let answer = answer(&pod, mode);
            assert_eq!((answer.outcome, answer.reason), (Outcome::Refused, *reason), "{sentence}");
            assert_eq!(response(&answer)["status"]["code"], 403);
        }
    }
}

/// What an enforced namespace refuses, and an enabled one takes; with a warning, or without.
#[test]
fn what_could_undo_the_redirection_is_refused_where_it_is_enforced() {
    let context = |value: Value| with("/spec/containers/0/securityContext", value);
    let drop_all = json!(["ALL"]);
    let table = [
        (context(json!({"privileged": true})), "securityContext.privileged: is true", true),
        (
            context(json!({"capabilities": {"add": ["NET_ADMIN"], "drop": drop_all}})),
            "capabilities.add[0]: adds NET_ADMIN",
            true,
        ),
        (
            context(json!({"capabilities": {"add": ["CHOWN", "cap_net_admin"], "drop": drop_all}})),
            "capabilities.add[1]: adds cap_net_admin",
            true,
        ),
        (context(json!({"capabilities": {"add": ["ALL"]}})), "adds ALL", true),
        (
            context(json!({"capabilities": {"add": ["SETUID"], "drop": drop_all}})),
            "adds SETUID; remove it",
            false,
        ),
        (
            context(json!({"capabilities": {"add": ["net_raw"], "drop": drop_all}})),
            "adds net_raw; remove it",
            false,
        ),
        (
            context(json!({"capabilities": {"drop": ["SETUID"]}})),
            "to send packets below the rules; drop capability ALL",
            false,
        ),
        (context(json!({})), "leaves the container able to take the proxy's id", false),
        (context(Value::Null), "leaves the container able to take the proxy's id", false),
        (
            context(json!({"allowPrivilegeEscalation": false, "runAsUser": 0})),
            "leaves the container able to take the proxy's id",
            false,
        ),
        (context(json!({"runAsUser": 1000})), "leaves the container able", false),
    ];
    for (pod, words, is_warned) in table {
        let sentence = refusal(&pod, Mode::Enforced);
        assert!(sentence.contains(words), "{sentence}");
        let answer = answer(&pod, Mode::Enabled);
        created(&pod, &answer);
        let warnings = response(&answer)["warnings"].as_array().map_or(0, Vec::len);
        assert_eq!(warnings == 1, is_warned, "{answer:?}");
    }
    let fine = [
        pod(),
        context(json!({"capabilities": {"drop": ["setuid", "CAP_NET_RAW"]}})),
        context(json!({"allowPrivilegeEscalation": false, "runAsUser": 1000})),
        context(json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true})),
    ];
    for pod in fine {
        created(&pod, &answer(&pod, Mode::Enforced));
    }
    let mut by_pod = context(json!({"allowPrivilegeEscalation": false}));
    by_pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    created(&by_pod, &answer(&by_pod, Mode::Enforced));
}

#[test]
fn a_template_is_told_through_its_owner_and_a_dry_run_not_at_all() {
    let owners = json!([
        {"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": "1"},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d", "uid": "2", "controller": true},
    ]);
    let owned = with("/metadata/ownerReferences", owners);
    let story = answer(&owned, Mode::Enabled).story.expect("an Event");
    assert_eq!(story.owner.kind, "ReplicaSet");
    assert_eq!((story.owner.name.as_str(), story.owner.namespace.as_str()), ("cart-5d", "shop"));
    assert_eq!((story.reason, story.is_warning), ("Injected", false));

    let own = answer(&pod(), Mode::Enabled).story.expect("an Event").owner;
    assert_eq!((own.kind.as_str(), own.name.as_str(), own.uid), ("Pod", "cart-0", None));

    for pod in [owned, with("/spec/hostNetwork", json!(true)), pod()] {
        for mode in [Mode::Enabled, Mode::Enforced] {
            let mut review = crate::review_of(&pod);
            review["request"]["dryRun"] = json!(true);
            let config = Install::default();
            let answer = review_pod(review.to_string().as_bytes(), mode, &config);
            assert_eq!(answer.expect("a review").story, None);
        }
    }
}

#[test]
fn what_pods_say_stays_one_bounded_line() {
    let name = format!("a\nb{}", "x".repeat(5000));
    let pod = with("/spec/initContainers", json!([{"name": name}]));
    let sentence = refusal(&pod, Mode::Enabled);
    let mut pod = pod.clone();
    pod["metadata"]["labels"]["remora.dev/inject"] = json!(name);
    let other = refusal(&pod, Mode::Enabled);
    for sentence in [sentence, other] {
        assert!(sentence.len() <= 1024 && !sentence.contains('\n'), "{sentence}");
    }
}

/// As after a first pass of the API server: what it does by itself, and another webhook.
fn after_others(pod: &mut Value) {
    let account = json!({"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            if let Value::Array(mounts) = &mut container["volumeMounts"] {
                mounts.push(account.clone());
            } else {
                container["volumeMounts"] = json!([account]);
            }
            container["resources"]["limits"]["cpu"] = json!("2");
        }
    }
    let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
    volumes.push(json!({"name": "kube-api-access-x", "projected": {"sources": []}}));
    let theirs = json!({
        "name": "theirs", "image": "x", "readinessProbe": {"tcpSocket": {"port": 7}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
    });
    pod["spec"]["containers"].as_array_mut().expect("containers").push(theirs.clone());
    let mut init = theirs;
    init["name"] = json!("their-init");
    pod["spec"]["initContainers"].as_array_mut().expect("containers").insert(0, init);
    pod["metadata"]["annotations"]["theirs"] = json!("x");
}

#[test]
fn a_container_that_comes_after_us_is_covered_when_we_are_asked_again() {
    let first = answer(&pod(), Mode::Enforced);
    let mut changed = created(&pod(), &first);
    after_others(&mut changed);
    let second = answer(&changed, Mode::Enforced);
    let again = created(&changed, &second);
    let inits = again["spec"]["initContainers"].as_array().expect("init containers");
    let names: Vec<_> = inits.iter().map(|container| container["name"].as_str()).collect();
    assert_eq!(names, [Some("remora-init"), Some("remora"), Some("their-init")]);
    for at in [0, 1] {
        let ours = &inits[at];
        assert_eq!(ours["resources"]["limits"]["cpu"], "2", "a LimitRange's default: {ours}");
        let mounts = ours["volumeMounts"].to_string();
        assert!(!mounts.contains("kube-api-access"), "our containers use no API token: {mounts}");
    }
    assert_eq!(again["spec"]["containers"][1]["readinessProbe"]["httpGet"]["port"], 16021);
    assert_eq!(again["metadata"]["annotations"]["theirs"], "x");
    // And a third time there is nothing left to do.
    let third = answer(&again, Mode::Enforced);
    assert_eq!(response(&third).get("patch"), None, "{third:?}");
}

#[test]
fn a_forged_sidecar_is_replaced_by_ours() {
    let mut forged = created(&pod(), &answer(&pod(), Mode::Enabled));
    let expected = forged.clone();
    forged["spec"]["initContainers"][1]["image"] = json!("evil/sidecar");
    forged["spec"]["initContainers"][1]["args"] = json!(["run", "--open"]);
    forged["spec"]["initContainers"][1]["env"] = json!([]);
    forged["spec"]["initContainers"][0]["command"] = json!(["true"]);
    assert_eq!(created(&forged, &answer(&forged, Mode::Enabled)), expected);
    // Without the annotation it is a stranger under our name.
    forged["metadata"]["annotations"] = json!({});
    assert!(refusal(&forged, Mode::Enabled).contains("on something that Remora did not add"));
}

/// What an installation with a proxy on each node answers.
fn on_the_node(pod: &Value, mode: Mode) -> Answer {
    let inject = InjectConfig { mode: ProxyMode::Node, ..InjectConfig::default() };
    let install = Install { inject, ..Install::default() };
    review_pod(crate::review_of(pod).to_string().as_bytes(), mode, &install).expect("a review")
}

#[test]
fn a_pods_mode_is_the_installations_whatever_it_brings() {
    let [sidecar, node] = [ProxyMode::Sidecar, ProxyMode::Node].map(|mode| {
        inject(&pod(), &InjectConfig { mode, ..InjectConfig::default() }).expect("injectable")
    });
    for mode in [Mode::Enabled, Mode::Enforced] {
        for brought in [&pod(), &sidecar, &node] {
            assert_eq!(created(brought, &on_the_node(brought, mode)), node);
            assert_eq!(created(brought, &answer(brought, mode)), sidecar);
        }
        assert_eq!(response(&on_the_node(&node, mode)).get("patch"), None);
    }
    assert_eq!(proxy_mode(&node), Some(ProxyMode::Node));
    let mut changed = node.clone();
    changed["spec"]["volumes"] = json!([]);
    after_others(&mut changed);
    let again = created(&changed, &on_the_node(&changed, Mode::Enforced));
    let waiting = &again["spec"]["initContainers"][1];
    assert_eq!(waiting["args"], json!(["ready", "--wait"]));
    assert_eq!((waiting.get("volumeMounts"), waiting.get("restartPolicy")), (None, None));
}

#[test]
fn what_is_about_a_sidecar_is_told_to_do_nothing_on_a_node() {
    let asked = with(
        "/metadata/annotations",
        json!({
            "remora.dev/memory-limit": "1Gi", "remora.dev/threads": "2",
            "remora.dev/max-connections": "7", "remora.dev/access-log-fields": "key",
        }),
    );
    assert_eq!(response(&answer(&asked, Mode::Enabled)).get("warnings"), None);
    let answer = on_the_node(&asked, Mode::Enabled);
    let warnings = &response(&answer)["warnings"];
    let idle =
        |name: &str| format!("{name} does nothing here: the proxy of the node serves this pod");
    assert_eq!(*warnings, json!([idle("remora.dev/memory-limit"), idle("remora.dev/threads")]));
    let waiting = &created(&asked, &answer)["spec"]["initContainers"][1];
    assert_eq!(waiting["resources"]["limits"]["memory"], "64Mi");
    let told = json!({"name": "REMORA_MAX_CONNECTIONS", "value": "7"});
    assert!(waiting["env"].as_array().expect("env").contains(&told), "{waiting}");
}

#[test]
fn a_pod_may_ask_for_less_than_the_installation_gives_and_not_for_more() {
    let ceiling = Ceiling::new(Some("500m"), Some("128Mi")).expect("quantities").threads(Some(4));
    let install = Install { ceiling, ..Install::default() };
    let ask = |annotations: Value| {
        let review = crate::review_of(&with("/metadata/annotations", annotations)).to_string();
        let answer = review_pod(review.as_bytes(), Mode::Enabled, &install).expect("a review");
        (answer.outcome, response(&answer)["status"]["message"].to_string())
    };
    let most = json!({
        "remora.dev/cpu-limit": "500m", "remora.dev/memory-limit": "134217728",
        "remora.dev/threads": "4",
    });
    assert_eq!(ask(most).0, Outcome::Injected);
    for (annotation, value) in [
        ("remora.dev/cpu-limit", "501m"),
        ("remora.dev/cpu-request", "1"),
        ("remora.dev/memory-limit", "129Mi"),
        ("remora.dev/threads", "5"),
    ] {
        let (outcome, sentence) = ask(json!({annotation: value}));
        assert_eq!(outcome, Outcome::Refused);
        assert!(sentence.contains(annotation) && sentence.contains("is more than "), "{sentence}");
    }
    assert!(Ceiling::new(Some("fast"), None).is_err());
}
