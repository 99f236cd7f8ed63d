//! Every refusal, with its field and its remedy.

use serde_json::{Value, json};

use crate::{AgentAddress, InjectConfig, inject, is_injected, uninject};

/// A pod that would be injected, with one field replaced.
fn pod(pointer: &str, value: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "shop", "annotations": {}},
        "spec": {
            "hostNetwork": false,
            "securityContext": {},
            "volumes": [],
            "initContainers": [],
            "containers": [{"name": "app", "securityContext": {}, "ports": [], "volumeMounts": []}],
        },
    });
    *pod.pointer_mut(pointer).expect("in the pod above") = value;
    pod
}

fn refusal(pod: &Value) -> String {
    inject(pod, &InjectConfig::default()).expect_err("refused").to_string()
}

/// What is refused where agents have sockets.
fn refusal_with_sockets(pod: &Value) -> String {
    let agent = AgentAddress::Sockets("/run/remora/pods".into());
    let config = InjectConfig { agent, ..InjectConfig::default() };
    inject(pod, &config).expect_err("refused").to_string()
}

#[test]
fn only_what_has_pods_is_injected() {
    let known = "Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, \
                 Job, CronJob";
    let unknown = format!("kind: is no kind whose pods Remora knows; give one of {known}");
    let typed = "kind: is PodList, whose items do not say theirs; \
                 write it as List, each Pod with its apiVersion and kind";
    // The Deployment is one of another group: `v1`.
    let kinds =
        [("Service", &*unknown), ("List", &unknown), ("Deployment", &unknown), ("PodList", typed)];
    for (kind, message) in kinds {
        let manifest = pod("/kind", json!(kind));
        assert_eq!(refusal(&manifest), message);
        assert_eq!(uninject(&manifest).expect_err("refused").to_string(), message);
    }
    let message = "apiVersion: is v2, in which no cluster serves Pod; write v1";
    assert_eq!(refusal(&pod("/apiVersion", json!("v2"))), message);
    assert!(refusal(&pod("/kind", json!(null))).starts_with("kind: is missing"));
    assert!(refusal(&json!([])).starts_with("document: expected a map, found a list"));
}

#[test]
fn sockets_are_named_after_pods() {
    let workload = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"name": "app"}]}}},
    });
    let message = "kind: is Deployment, whose pods have no names yet; inject Pods where";
    assert!(refusal_with_sockets(&workload).starts_with(message));
    assert!(inject(&workload, &InjectConfig::default()).is_ok());
    let generated = pod("/metadata", json!({"generateName": "a-"}));
    let message = "metadata.name: is missing; give the Pod a name: its agent socket";
    assert!(refusal_with_sockets(&generated).starts_with(message));
    assert!(inject(&generated, &InjectConfig::default()).is_ok());
    let table = [
        ("/metadata/name", json!("../../etc"), "metadata.name: is no name that a Pod can have;"),
        ("/metadata/name", json!("a..b"), "metadata.name: is no name that a Pod can have;"),
        ("/metadata/namespace", json!("a.b"), "metadata.namespace: is no name that a namespace"),
    ];
    for (pointer, value, message) in table {
        let error = refusal_with_sockets(&pod(pointer, value));
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn pods_that_cannot_run_with_us_are_refused() {
    let table = [
        ("/metadata", json!({}), "metadata.name: is missing; give the Pod a name or a generateN"),
        ("/metadata/name", json!(7), "metadata.name: expected a string, found a number; put it"),
        ("/spec/hostNetwork", json!(true), "spec.hostNetwork: is true; give the Pod its own"),
        ("/spec/hostNetwork", json!("yes"), "spec.hostNetwork: expected a boolean, found a str"),
        ("/spec", json!(null), "spec: is missing; add it"),
        ("/spec/containers", json!({}), "spec.containers: expected a list, found a map; write"),
        ("/spec/containers/0", json!(1), "spec.containers[0]: expected a map, found a number;"),
        ("/spec/containers/0/name", json!(null), "spec.containers[0].name: is missing; add it"),
        (
            "/spec/containers/0/name",
            json!("remora"),
            "spec.containers[0].name: is a name of Remora's, on something that Remora did not add",
        ),
        (
            "/spec/initContainers",
            json!([{"name": "remora-init"}]),
            "spec.initContainers[0].name: is a name of Remora's",
        ),
        (
            "/spec/volumes",
            json!([{"name": "remora-agent"}]),
            "spec.volumes[0].name: is a name of Remora's",
        ),
        (
            "/spec/volumes",
            json!([{"name": "data"}, {"name": "remora-token"}]),
            "spec.volumes[1].name: is a name of Remora's",
        ),
        (
            "/spec/initContainers",
            json!([{"name": "app"}]),
            "spec.containers[0].name: `app` is the name of another container; rename one of",
        ),
        (
            "/spec/containers/0/name",
            json!("a/b"),
            "spec.containers[0].name: is no name that a container can have; use lower-case",
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([{"name": "remora-agent", "mountPath": "/x"}]),
            "spec.containers[0].volumeMounts[0].name: `remora-agent` is for Remora's sidecar",
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([{"name": "remora-token", "mountPath": "/x"}]),
            "spec.containers[0].volumeMounts[0].name: `remora-token` is for Remora's sidecar",
        ),
        (
            "/spec/securityContext",
            json!({"runAsUser": 16006}),
            "spec.securityContext.runAsUser: 16006 is the id of Remora's proxy; use another id",
        ),
        (
            "/spec/securityContext",
            json!({"supplementalGroups": [1, 16006]}),
            "spec.securityContext.supplementalGroups[1]: 16006 is the id",
        ),
        (
            "/spec/securityContext",
            json!({"runAsUser": "16006"}),
            "spec.securityContext.runAsUser: expected a whole number, found a string",
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"runAsGroup": 16006}),
            "spec.containers[0].securityContext.runAsGroup: 16006 is the id",
        ),
        (
            "/spec/initContainers",
            json!([{"name": "x", "securityContext": {"runAsUser": 16006}}]),
            "spec.initContainers[0].securityContext.runAsUser: 16006 is the id",
        ),
        (
            "/metadata/annotations",
            json!({"remora.dev/status": "{}"}),
            "metadata.annotations[\"remora.dev/status\"]: is no status that this version of",
        ),
    ];
    for (pointer, value, message) in table {
        let error = refusal(&pod(pointer, value));
        assert!(error.starts_with(message), "{error}\n  not {message}");
        assert!(error.contains("; "), "no remedy: {error}");
    }
}

#[test]
fn other_meshes_keep_their_pods() {
    for (name, mesh) in super::REDIRECTORS {
        for list in ["/spec/containers", "/spec/initContainers"] {
            let error = refusal(&pod(list, json!([{"name": name}])));
            let remedy = format!("; take the pod out of {mesh} first");
            assert!(error.ends_with(&remedy), "{error}");
        }
    }
}

#[test]
fn our_ports_are_ours_for_tcp() {
    let with_port = |number: u16, protocol: Option<&str>| {
        pod("/spec/containers/0/ports", json!([{"containerPort": number, "protocol": protocol}]))
    };
    for port in [16000, 16001, 16006, 16020, 16021] {
        for protocol in [None, Some("TCP")] {
            let error = refusal(&with_port(port, protocol));
            let message = format!(
                "spec.containers[0].ports[0].containerPort: {port} is a port of Remora's sidecar; \
                 let the application listen elsewhere"
            );
            assert_eq!(error, message);
        }
        assert!(inject(&with_port(port, Some("UDP")), &InjectConfig::default()).is_ok());
    }
    assert!(inject(&with_port(16002, None), &InjectConfig::default()).is_ok());
}

#[test]
fn a_forged_status_takes_nothing_but_our_names_away() {
    let status = json!({
        "version": "0", "containers": ["app"], "volumes": ["data"],
        "before": {"initContainers": "absent", "volumes": "absent", "annotations": "absent"},
    });
    let mut forged = pod("/spec/initContainers", json!([{"name": "remora", "image": "evil"}]));
    forged["metadata"]["annotations"]["remora.dev/status"] = json!(status.to_string());
    let injected = inject(&forged, &InjectConfig::default()).expect("ours are rendered anew");
    assert_eq!(injected["spec"]["containers"], forged["spec"]["containers"]);
    assert!(!injected.to_string().contains("evil"));
    assert!(is_injected(&injected));

    let two = json!([{"name": "remora"}, {"name": "remora", "image": "evil"}]);
    forged["spec"]["initContainers"] = two;
    assert!(refusal(&forged).starts_with("spec.initContainers[0].name: is a name of Remora's"));
}
