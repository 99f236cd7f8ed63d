//! What is added to a pod.

use serde_json::{Value, json};

use crate::config::{
    AGENT_MOUNT, AGENT_VOLUME, INBOUND_PORT, INIT_CONTAINER, InjectConfig, PROXY_UID,
    SIDECAR_CONTAINER,
};

/// The init container: root with NET_ADMIN and nothing else, which is what iptables needs.
pub(crate) fn init_container(config: &InjectConfig) -> Value {
    json!({
        "name": INIT_CONTAINER,
        "image": config.init_image,
        "args": [
            "--inbound-port", INBOUND_PORT.to_string(),
            "--proxy-uid", PROXY_UID.to_string(),
        ],
        "resources": resources(),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "runAsGroup": 0,
            // The pod's own `runAsNonRoot: true` must not reach this container.
            "runAsNonRoot": false,
        },
    })
}

/// The sidecar. Containers after it start once it is ready, which may take as long as an hour.
pub(crate) fn sidecar_container(config: &InjectConfig) -> Value {
    json!({
        "name": SIDECAR_CONTAINER,
        "image": config.sidecar_image,
        "args": ["run"],
        "restartPolicy": "Always",
        "env": [
            {"name": "REMORA_AGENT", "value": format!("unix:{AGENT_MOUNT}/agent.sock")},
            from_field("REMORA_POD_NAME", "metadata.name"),
            from_field("REMORA_POD_NAMESPACE", "metadata.namespace"),
            from_field("REMORA_POD_UID", "metadata.uid"),
            from_field("REMORA_POD_IPS", "status.podIPs"),
            {"name": "REMORA_LOG", "value": "info"},
        ],
        "startupProbe": {
            "exec": {"command": ["/remora-sidecar", "ready"]},
            "periodSeconds": 1,
            "failureThreshold": 3600,
        },
        "resources": resources(),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsUser": PROXY_UID,
            "runAsGroup": PROXY_UID,
            "runAsNonRoot": true,
        },
        "volumeMounts": [{"name": AGENT_VOLUME, "mountPath": AGENT_MOUNT}],
    })
}

/// The pod's own directory of the agent's. `Directory` holds the pod until the agent,
/// which makes it, knows the pod.
pub(crate) fn agent_volume(config: &InjectConfig, namespace: &str, name: &str) -> Value {
    let path = config.agent_sockets.join(format!("{namespace}_{name}"));
    json!({
        "name": AGENT_VOLUME,
        "hostPath": {"path": path.to_string_lossy(), "type": "Directory"},
    })
}

/// An idle sidecar stays below 8 MiB; the limit leaves room for connections' buffers.
fn resources() -> Value {
    json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}})
}

fn from_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}
