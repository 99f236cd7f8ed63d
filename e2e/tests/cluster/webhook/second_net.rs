//! What holds when the webhook does not: the ValidatingAdmissionPolicies.

use serde_json::{Value, json};

use crate::{
    kubectl::eventually,
    webhook::{
        chart::{Labelled, WEBHOOKS, believed, chart, charts, has_sidecar, plain, upgrade},
        node_mode::on_its_node,
    },
};

/// Nobody injects until this is dropped.
struct NoWebhook;

impl NoWebhook {
    fn take() -> Self {
        chart().run(&["delete", WEBHOOKS]).expect("deleted");
        Self
    }
}

impl Drop for NoWebhook {
    fn drop(&mut self) {
        upgrade(&charts().join("remora"), &[]);
        believed();
    }
}

/// A pod as the webhook leaves it, ready to be changed and created again.
pub(crate) fn injected(stage: &Labelled) -> Value {
    let mut pod = stage.tried(&plain("forged")).expect("taken");
    assert!(has_sidecar(&pod));
    for field in ["uid", "creationTimestamp", "resourceVersion", "managedFields", "generation"] {
        pod["metadata"].as_object_mut().expect("metadata").remove(field);
    }
    pod.as_object_mut().expect("a pod").remove("status");
    pod
}

pub(crate) fn env_of(pod: &mut Value) -> &mut Vec<Value> {
    pod["spec"]["initContainers"][1]["env"].as_array_mut().expect("an environment")
}

type Change = fn(&mut Value);

/// Tells the init container more than the webhook did.
fn tell(pod: &mut Value, words: [&str; 2]) {
    let args = pod["spec"]["initContainers"][0]["args"].as_array_mut().expect("arguments");
    args.extend(words.map(Value::from));
}

/// What is changed in a pod with Remora, and what the refusal says.
const FORGERIES: [(Change, &str); 24] = [
    (on_its_node, "remora in this pod does not run"),
    (|pod| tell(pod, ["--skip-inbound-ports", "11211"]), "leaves out ports or networks"),
    (|pod| tell(pod, ["--verbose", "x"]), "remora-init in this pod does not run"),
    (|pod| pod["spec"]["initContainers"] = json!([]), "Remora is not in this pod"),
    (
        |pod| pod["spec"]["initContainers"].as_array_mut().expect("a list").swap(0, 1),
        "Remora is not in this pod",
    ),
    (
        |pod| pod["spec"]["initContainers"][1]["image"] = json!("evil/sidecar"),
        "evil/sidecar, none that",
    ),
    (|pod| pod["spec"]["initContainers"][0]["image"] = json!("evil/init"), "evil/init and"),
    (
        |pod| pod["spec"]["initContainers"][0]["command"] = json!(["true"]),
        "remora-init in this pod does not run",
    ),
    (
        |pod| pod["spec"]["initContainers"][0]["args"][1] = json!("1"),
        "remora-init in this pod does not run",
    ),
    (
        |pod| pod["spec"]["initContainers"][1]["args"] = json!(["run", "--open"]),
        "remora in this pod does not run",
    ),
    (
        |pod| {
            pod["spec"]["initContainers"][1]["lifecycle"] =
                json!({"preStop": {"sleep": {"seconds": 1}}});
        },
        "remora in this pod does not run",
    ),
    (
        |pod| env_of(pod).push(json!({"name": "LD_PRELOAD", "value": "x"})),
        "the environment of remora",
    ),
    (
        |pod| {
            env_of(pod).push(json!({"name": "REMORA_LOG", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}));
        },
        "the environment of remora",
    ),
    (
        |pod| env_of(pod)[0]["value"] = json!("https://evil.example:16010"),
        "the environment of remora",
    ),
    (|pod| drop(env_of(pod).remove(1)), "the environment of remora"),
    (
        |pod| {
            pod["spec"]["initContainers"][1]["envFrom"] = json!([{"configMapRef": {"name": "x"}}]);
        },
        "remora in this pod does not run",
    ),
    (
        |pod| pod["spec"]["initContainers"][1]["securityContext"]["runAsUser"] = json!(1),
        "user or capabilities",
    ),
    (
        |pod| {
            pod["spec"]["initContainers"][0]["securityContext"]["capabilities"]["add"] =
                json!(["NET_ADMIN", "SYS_ADMIN"]);
        },
        "user or capabilities",
    ),
    (
        |pod| {
            pod["spec"]["volumes"]
                .as_array_mut()
                .expect("volumes")
                .iter_mut()
                .filter(|volume| volume["name"] == "remora-ca")
                .for_each(|volume| {
                    *volume = json!({"name": "remora-ca", "configMap": {"name": "mine"}});
                });
        },
        "volumes is not what",
    ),
    (
        |pod| pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true}),
        "container app is privileged",
    ),
    (
        |pod| pod["spec"]["containers"][0]["securityContext"] = json!({}),
        "container app could become the proxy's user",
    ),
    (
        |pod| {
            pod["spec"]["containers"][0]["securityContext"] =
                json!({"capabilities": {"drop": ["SETUID"]}});
        },
        "send packets below the rules",
    ),
    (
        |pod| pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = json!(16006),
        "runs as Remora's proxy",
    ),
    (|pod| pod["spec"]["securityContext"] = json!({"fsGroup": 16006}), "runs as Remora's proxy"),
];

#[test]
fn pods_that_are_not_as_we_made_them_are_refused_without_the_webhook() {
    let stage = Labelled::set("net", "enforced");
    let pod = injected(&stage);
    let _no_webhook = NoWebhook::take();
    stage.tried(&pod).expect("as the webhook made it, it is taken");
    let mut wrong = Vec::new();
    for (n, (change, words)) in FORGERIES.iter().enumerate() {
        let mut forged = pod.clone();
        change(&mut forged);
        match stage.tried(&forged) {
            Err(error) if error.contains(words) => {
                println!("{n}: {}", error.lines().next().unwrap_or_default());
            }
            outcome => wrong.push(format!("{n}: expected {words:?}; seen {outcome:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let error = stage.tried(&plain("bare")).expect_err("refused");
    assert!(error.contains("Remora is not in this pod"), "{error}");
    // In an enabled namespace the net is not stretched.
    let enabled = Labelled::set("net-enabled", "enabled");
    enabled.tried(&plain("bare")).expect("taken");
}

/// As after an upgrade that forgot the last release: its images are allowed no more.
struct NextImages(Value);

impl NextImages {
    fn give() -> Self {
        let policy = chart().get(&["validatingadmissionpolicy", "remora-pods"]).expect("a policy");
        let mut next = policy.clone();
        for variable in next["spec"]["variables"].as_array_mut().expect("variables") {
            if variable["name"].as_str().is_some_and(|name| name.ends_with("Images")) {
                variable["expression"] = json!("['remora/next:1']");
            }
        }
        replace(next);
        Self(policy)
    }
}

impl Drop for NextImages {
    fn drop(&mut self) {
        replace(self.0.clone());
    }
}

fn replace(mut policy: Value) {
    policy["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
    chart().feed(&["replace", "-f", "-"], &policy.to_string()).expect("replaced");
}

#[test]
fn an_older_sidecar_blocks_no_change_of_labels_and_no_new_one_is_made() {
    let stage = Labelled::set("net-old", "enforced");
    stage.apply(&plain("old").to_string());
    stage.ready("old");
    let next = NextImages::give();
    let outcome = eventually("no pod with the old images is made", || {
        stage.tried(&plain("new")).err().ok_or_else(|| "it is taken".to_owned())
    });
    assert!(outcome.contains("none that this installation gives"), "{outcome}");
    stage.run(&["label", "pod", "old", "team=x"]).expect("a label");
    let finalizer = r#"{"metadata": {"finalizers": ["test.remora.dev/x"]}}"#;
    for patch in [finalizer, r#"{"metadata": {"finalizers": null}}"#] {
        stage.run(&["patch", "pod", "old", "--type=merge", "-p", patch]).expect("a finalizer");
    }
    let other = json!({"spec": {"initContainers": [{"name": "remora", "image": "evil/sidecar"}]}})
        .to_string();
    let error = stage.run(&["patch", "pod", "old", "-p", &other]).expect_err("refused");
    assert!(error.contains("none that this installation gives"), "{error}");
    drop(next);
    eventually("pods are made again", || stage.tried(&plain("new")).map(drop));
}

/// Adds an ephemeral container as `kubectl debug` does.
fn debug(stage: &Labelled, name: &str, context: &Value) -> Result<String, String> {
    let mut pod = stage.get(&["pod", "target"]).expect("the pod");
    let container = json!({
        "name": name, "image": "remora-test/app:test", "imagePullPolicy": "Never", "args": ["idle"],
        "securityContext": context, "terminationMessagePolicy": "File",
    });
    let added = &mut pod["spec"]["ephemeralContainers"];
    match added.as_array_mut() {
        Some(all) => all.push(container),
        None => *added = json!([container]),
    }
    let path = format!("/api/v1/namespaces/{}/pods/target/ephemeralcontainers", stage.namespace);
    stage.kubectl.feed(&["replace", "--raw", &path, "-f", "-"], &pod.to_string())
}

#[test]
fn a_container_for_debugging_may_neither_pose_nor_undo() {
    let stage = Labelled::set("net-debug", "enforced");
    stage.apply(&plain("target").to_string());
    stage.ready("target");
    let drop_all = json!({"drop": ["ALL"]});
    for context in [
        json!({}),
        json!({"privileged": true}),
        json!({"runAsNonRoot": true, "runAsUser": 1000}),
        json!({"runAsNonRoot": true, "capabilities": drop_all}),
        json!({"runAsNonRoot": true, "runAsUser": 16006, "capabilities": drop_all}),
        json!({"runAsNonRoot": true, "runAsUser": 1000, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}),
    ] {
        let error = debug(&stage, "bad", &context).expect_err("refused");
        assert!(error.contains("container bad: in a namespace that Remora enforces"), "{error}");
    }
    let good = json!({"runAsNonRoot": true, "runAsUser": 1000, "capabilities": drop_all});
    debug(&stage, "good", &good).expect("taken");
}

/// Who may edit namespaces may not take the label away for that alone.
#[test]
fn leaving_enforced_takes_a_right_of_its_own() {
    let stage = Labelled::set("net-label", "enforced");
    let role = json!({
        "apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": stage.namespace},
                "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": stage.namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": stage.namespace},
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}],
            },
        ],
    });
    stage.apply(&role.to_string());
    let _roles = Roles(&stage);
    let label = |label: &str| {
        stage.kubectl.run(&[
            "--as=mallory",
            "label",
            "namespace",
            &stage.namespace,
            label,
            "--overwrite",
        ])
    };
    eventually("mallory may edit namespaces", || label("team=x"));
    for change in ["remora.dev/inject-", "remora.dev/inject=enabled", "remora.dev/inject=disabled"]
    {
        let error = label(change).expect_err("refused");
        assert!(error.contains("needs the verb unenforce"), "{error}");
    }
    let more = json!([{"op": "add", "path": "/rules/-", "value": {
        "apiGroups": ["policy.remora.dev"], "resources": ["namespaces"], "verbs": ["unenforce"],
    }}]);
    let patch = ["patch", "clusterrole", &stage.namespace, "--type=json", "-p", &more.to_string()];
    stage.kubectl.run(&patch).expect("patched");
    eventually("with the right it goes", || label("remora.dev/inject=enabled"));
}

/// What is of the whole cluster goes with the test.
struct Roles<'a>(&'a Labelled);

impl Drop for Roles<'_> {
    fn drop(&mut self) {
        let name = &self.0.namespace;
        let delete = ["delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found"];
        if let Err(error) = self.0.kubectl.run(&delete) {
            eprintln!("cleaning up roles: {error}");
        }
    }
}
