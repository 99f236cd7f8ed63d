//! Every refusal, with its field and its remedy.

use serde_json::{Value, json};

use crate::{InjectConfig, inject, is_injected, uninject};

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

#[test]
fn only_pods_are_injected() {
    let kinds = [
        ("Deployment", "kind: is Deployment, no Pod; inject Pods; templates come later"),
        ("CronJob", "kind: is CronJob, no Pod; inject Pods; templates come later"),
        ("List", "kind: is List, no Pod; give each Pod its own document"),
        ("Service", "kind: is v1 Service, no v1 Pod; give a v1 Pod"),
    ];
    for (kind, message) in kinds {
        let manifest = pod("/kind", json!(kind));
        assert_eq!(refusal(&manifest), message);
        assert_eq!(uninject(&manifest).expect_err("refused").to_string(), message);
    }
    assert!(refusal(&pod("/apiVersion", json!("v2"))).starts_with("kind: is v2 Pod, no v1 Pod"));
    assert!(refusal(&pod("/kind", json!(null))).starts_with("kind: is missing"));
    assert!(refusal(&json!([])).starts_with("document: expected a map, found a list"));
}

#[test]
fn pods_that_cannot_run_with_us_are_refused() {
    let table = [
        ("/metadata", json!({"generateName": "a-"}), "metadata.name: is missing; give the Pod"),
        ("/metadata/name", json!("../../etc"), "metadata.name: is no name that a Pod can have;"),
        ("/metadata/name", json!("a..b"), "metadata.name: is no name that a Pod can have;"),
        ("/metadata/namespace", json!("a.b"), "metadata.namespace: is no name that a namespace"),
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
            "/spec/containers/0/volumeMounts",
            json!([{"name": "remora-agent", "mountPath": "/x"}]),
            "spec.containers[0].volumeMounts[0].name: `remora-agent` is for Remora's sidecar",
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
