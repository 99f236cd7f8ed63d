//! What is read from a manifest, without running anything.

use serde_json::{Value, json};

use super::env::expand;
use super::{Check, HostPathKind, PodSpec, RestartPolicy, Volume};
use crate::Error;

fn read(spec: &Value) -> Result<PodSpec, String> {
    let metadata = json!({ "name": "p", "namespace": "default", "uid": "u" });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    PodSpec::read(&pod).map_err(|error| match error {
        Error::Field { field, .. } => field,
        other => other.to_string(),
    })
}

fn container(more: &Value) -> Value {
    let mut container = json!({ "name": "c", "image": "i" });
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    container
}

#[test]
fn defaults_are_the_apis() {
    let probe = json!({ "readinessProbe": { "tcpSocket": { "port": 1 } } });
    let pod = read(&json!({ "containers": [container(&probe)] })).unwrap();
    let container = &pod.containers[0];
    assert_eq!((pod.grace.as_secs(), container.restart), (30, RestartPolicy::Always));
    assert_eq!((container.security.uid, container.security.gid), (0, 0));
    assert_eq!(container.security.capabilities.len(), 14);
    let probe = container.probes.readiness.as_ref().unwrap();
    assert_eq!((probe.period.as_secs(), probe.timeout.as_secs()), (10, 1));
    assert_eq!((probe.failure_threshold, probe.success_threshold), (3, 1));
    assert!(matches!(probe.check, Check::TcpSocket { host: None, port: 1 }));
}

#[test]
fn a_container_inherits_the_pods_user_and_may_override_it() {
    let context = json!({ "securityContext": { "runAsUser": 0, "runAsNonRoot": false } });
    let mut second = container(&context);
    second["name"] = json!("d");
    let pod = read(&json!({
        "securityContext": { "runAsUser": 7, "runAsGroup": 8, "runAsNonRoot": true },
        "containers": [container(&json!({})), second],
    }))
    .unwrap();
    let users: Vec<_> =
        pod.containers.iter().map(|one| (one.security.uid, one.security.gid)).collect();
    assert_eq!(users, [(7, 8), (0, 8)]);
}

#[test]
fn init_containers_run_once_unless_they_are_sidecars() {
    let mut sidecar = container(&json!({ "restartPolicy": "Always" }));
    sidecar["name"] = json!("s");
    let mut init = container(&json!({}));
    init["name"] = json!("i");
    let pod =
        read(&json!({ "initContainers": [init, sidecar], "containers": [container(&json!({}))] }))
            .unwrap();
    assert_eq!(pod.init[0].restart, RestartPolicy::Never);
    assert_eq!(pod.init[1].restart, RestartPolicy::Always);
}

#[test]
fn volumes_are_read() {
    let pod = read(&json!({
        "volumes": [
            { "name": "own", "emptyDir": {} },
            { "name": "agent", "hostPath": { "path": "/run/a", "type": "Directory" } },
            { "name": "ca", "configMap": { "name": "bundle", "optional": true, "defaultMode": 420 } },
            { "name": "token", "projected": { "sources": [{ "serviceAccountToken": {
                "audience": "somebody", "expirationSeconds": 600, "path": "token",
            } }] } },
        ],
        "containers": [container(&json!({ "volumeMounts": [
            { "name": "own", "mountPath": "/b/c" },
            { "name": "agent", "mountPath": "/b", "readOnly": true },
        ] }))],
    }))
    .unwrap();
    assert_eq!(pod.volumes["own"], Volume::EmptyDir);
    let agent = Volume::HostPath { path: "/run/a".into(), kind: HostPathKind::Directory };
    assert_eq!(pod.volumes["agent"], agent);
    assert_eq!(pod.volumes["ca"], Volume::ConfigMap { name: "bundle".into(), optional: true });
    let token = Volume::Token { audience: "somebody".into(), file: "token".into() };
    assert_eq!(pod.volumes["token"], token);
    // The outer mount comes first.
    let mounts: Vec<_> =
        pod.containers[0].mounts.iter().map(|mount| (mount.at.as_str(), mount.read_only)).collect();
    assert_eq!(mounts, [("/b", true), ("/b/c", false)]);
}

#[test]
fn each_bad_field_is_named_with_its_path() {
    let cases = [
        (json!({ "containers": [] }), "spec.containers"),
        (json!({ "containers": [{ "image": "i" }] }), "spec.containers[0].name"),
        (
            json!({ "containers": [container(&json!({})), container(&json!({}))] }),
            "spec.containers[1]",
        ),
        (
            json!({ "containers": [container(&json!({ "restartPolicy": "Always" }))] }),
            "spec.containers[0].restartPolicy",
        ),
        (
            json!({ "containers": [container(&json!({ "securityContext": { "runAsNonRoot": true } }))] }),
            "spec.containers[0].securityContext.runAsNonRoot",
        ),
        (
            json!({ "containers": [container(&json!({ "securityContext": { "capabilities": { "add": ["FLY"] } } }))] }),
            "spec.containers[0].securityContext.capabilities.add",
        ),
        (
            json!({ "containers": [container(&json!({ "env": [{ "name": "A", "valueFrom": { "secretKeyRef": {} } }] }))] }),
            "spec.containers[0].env[0].valueFrom.secretKeyRef",
        ),
        (
            json!({ "containers": [container(&json!({ "livenessProbe": { "exec": { "command": [] } } }))] }),
            "spec.containers[0].livenessProbe.exec.command",
        ),
        (
            json!({ "shareProcessNamespace": true, "containers": [container(&json!({}))] }),
            "spec.shareProcessNamespace",
        ),
        (
            json!({ "volumes": [{ "name": "v", "nfs": {} }], "containers": [container(&json!({}))] }),
            "spec.volumes[0].nfs",
        ),
        (
            json!({ "volumes": [{ "name": "v", "emptyDir": {}, "configMap": {} }], "containers": [] }),
            "spec.volumes[0].configMap",
        ),
        (
            json!({ "volumes": [{ "name": "v", "configMap": { "name": "../x" } }], "containers": [] }),
            "spec.volumes[0].configMap.name",
        ),
        (
            json!({ "volumes": [{ "name": "v", "projected": { "sources": [] } }], "containers": [] }),
            "spec.volumes[0].projected.sources",
        ),
        (
            json!({ "volumes": [{ "name": "v", "projected": { "sources": [{ "secret": {} }] } }], "containers": [] }),
            "spec.volumes[0].projected.sources[0].serviceAccountToken.audience",
        ),
        (
            json!({ "containers": [container(&json!({ "securityContext": { "seccompProfile": { "type": "Localhost" } } }))] }),
            "spec.containers[0].securityContext.seccompProfile.type",
        ),
        (
            json!({ "containers": [container(&json!({ "lifecycle": { "preStop": { "tcpSocket": { "port": 1 } } } }))] }),
            "spec.containers[0].lifecycle.preStop.tcpSocket",
        ),
        (
            json!({ "containers": [container(&json!({ "lifecycle": { "stopSignal": "TERM" } }))] }),
            "spec.containers[0].lifecycle.stopSignal",
        ),
    ];
    for (spec, field) in cases {
        assert_eq!(read(&spec).unwrap_err(), field, "{spec}");
    }
}

#[test]
fn references_in_commands_are_resolved_as_the_api_says() {
    let env = [("A".to_owned(), "1".to_owned())];
    let cases = [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $ $(A", "$A $ $(A"),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text, &env), expected, "{text}");
    }
}
