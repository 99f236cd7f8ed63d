//! What is added to a pod.

use remora_manifest::Field;
use serde_json::{Value, json};

use crate::InjectError;
use crate::check;
use crate::config::{
    AGENT_MOUNT, AGENT_VOLUME, AgentAddress, CA_CONFIG_MAP, CA_VOLUME, INBOUND_PORT,
    INIT_CONTAINER, InjectConfig, METRICS_PORT, OUTBOUND_PORT, PROXY_UID, ProxyMode,
    SIDECAR_CONTAINER, SNAPSHOT_MOUNT, SNAPSHOT_VOLUME, TOKEN_AUDIENCE, TOKEN_VOLUME,
};
use crate::probes::Calls;
use crate::settings::Settings;
use crate::workload::Workload;

/// How long a token is good for, in seconds. The kubelet renews it at four fifths of that.
const TOKEN_SECONDS: u32 = 3600;

/// The init container: root with NET_ADMIN and nothing else, which is what iptables needs.
pub(crate) fn init_container(config: &InjectConfig, settings: &Settings) -> Value {
    let ports =
        [("--inbound-port", u32::from(INBOUND_PORT)), ("--outbound-port", OUTBOUND_PORT.into())];
    let numbers = ports.into_iter().chain([("--proxy-uid", PROXY_UID)]);
    let mut args: Vec<String> =
        numbers.flat_map(|(flag, number)| [flag.to_owned(), number.to_string()]).collect();
    args.extend(settings.skips.iter().cloned());
    json!({
        "name": INIT_CONTAINER,
        "image": config.init_image,
        "args": args,
        "resources": little(),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "runAsGroup": 0,
            // The pod's own `runAsNonRoot: true` must not reach this container.
            "runAsNonRoot": false,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// What a container needs that is gone before the app starts.
fn little() -> Value {
    json!({
        "requests": {"cpu": "10m", "memory": "16Mi"},
        "limits": {"memory": "64Mi"},
    })
}

/// The proxy, or what waits for it.
pub(crate) fn proxy_container(config: &InjectConfig, settings: &Settings, calls: &Calls) -> Value {
    match config.mode {
        ProxyMode::Sidecar => sidecar_container(config, settings, calls),
        ProxyMode::Node => waiting_container(config, settings, calls),
    }
}

/// The sidecar. Containers after it start once it is ready, which may take as long as an hour.
fn sidecar_container(config: &InjectConfig, settings: &Settings, calls: &Calls) -> Value {
    json!({
        "name": SIDECAR_CONTAINER,
        "image": config.sidecar_image,
        "args": ["run"],
        "restartPolicy": "Always",
        "env": sidecar_env(&config.agent, settings, calls),
        "startupProbe": {
            "exec": {"command": ["/remora-sidecar", "ready"]},
            "periodSeconds": 1,
            "failureThreshold": 3600,
        },
        "ports": metrics_port(),
        "resources": settings.resources,
        "securityContext": proxys_rights(),
        "volumeMounts": mounts(&config.agent),
    })
}

/// What stands in the sidecar's place where the node's proxy serves the pod: it ends once the
/// pod has its policy there, and only then those after it start. Its variables are not for
/// itself: the agent reads them, and tells the node's proxy.
fn waiting_container(config: &InjectConfig, settings: &Settings, calls: &Calls) -> Value {
    let mut env = pod_env(calls);
    env.extend(settings_env(settings));
    json!({
        "name": SIDECAR_CONTAINER,
        "image": config.sidecar_image,
        "args": ["ready", "--wait"],
        "env": env,
        "ports": metrics_port(),
        "resources": little(),
        "securityContext": proxys_rights(),
    })
}

/// Prometheus finds what to scrape by the ports that containers declare.
fn metrics_port() -> Value {
    json!([{"containerPort": METRICS_PORT}])
}

fn proxys_rights() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsUser": PROXY_UID,
        "runAsGroup": PROXY_UID,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn sidecar_env(agent: &AgentAddress, settings: &Settings, calls: &Calls) -> Vec<Value> {
    let mut env = match agent {
        AgentAddress::Url(url) => vec![
            literal("REMORA_AGENT", url),
            literal("REMORA_CA", &format!("{AGENT_MOUNT}/ca/ca.crt")),
            literal("REMORA_TOKEN", &format!("{AGENT_MOUNT}/token/token")),
        ],
        AgentAddress::Sockets(_) => {
            vec![literal("REMORA_AGENT", &format!("unix:{AGENT_MOUNT}/agent.sock"))]
        }
    };
    env.extend(pod_env(calls));
    env.push(literal("REMORA_SNAPSHOT", &format!("{SNAPSHOT_MOUNT}/snapshot")));
    env.extend(settings_env(settings));
    env
}

/// Which pod it is, and what the kubelet asks of it.
fn pod_env(calls: &Calls) -> Vec<Value> {
    let mut env = vec![
        from_field("REMORA_POD_NAME", "metadata.name"),
        from_field("REMORA_POD_NAMESPACE", "metadata.namespace"),
        from_field("REMORA_POD_UID", "metadata.uid"),
        from_field("REMORA_POD_IPS", "status.podIPs"),
        from_field("REMORA_HOST_IP", "status.hostIP"),
    ];
    env.extend(calls.variable().map(|probes| literal("REMORA_PROBES", &probes)));
    env
}

/// What the pod's annotations, and the installation, make of it.
fn settings_env(settings: &Settings) -> impl Iterator<Item = Value> {
    let chosen = settings.variables.iter().map(|(name, value)| literal(name, value));
    chosen.chain([literal("REMORA_LOG", &settings.log_level)])
}

fn literal(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn from_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// Directories, not single files: only so do a renewed token and a rotated CA reach the pod.
fn mounts(agent: &AgentAddress) -> Vec<Value> {
    let read_only =
        |name: &str, path: String| json!({"name": name, "mountPath": path, "readOnly": true});
    let writable = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let mut mounts = match agent {
        AgentAddress::Url(_) => vec![
            read_only(CA_VOLUME, format!("{AGENT_MOUNT}/ca")),
            read_only(TOKEN_VOLUME, format!("{AGENT_MOUNT}/token")),
        ],
        AgentAddress::Sockets(_) => vec![writable(AGENT_VOLUME, AGENT_MOUNT)],
    };
    mounts.push(writable(SNAPSHOT_VOLUME, SNAPSHOT_MOUNT));
    mounts
}

/// What the sidecar needs to reach the agent, and to start without it.
pub(crate) fn volumes(
    config: &InjectConfig,
    template: &Field<'_>,
    workload: &Workload,
) -> Result<Vec<Value>, InjectError> {
    if config.mode == ProxyMode::Node {
        return Ok(Vec::new());
    }
    let mut volumes = match &config.agent {
        AgentAddress::Url(_) => vec![
            // Optional, so that a pod which is there before the bundle starts, and its sidecar
            // says what it waits for, instead of a kubelet that cannot mount.
            json!({"name": CA_VOLUME, "configMap": {"name": CA_CONFIG_MAP, "optional": true}}),
            json!({"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": {
                "audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token",
            }}]}}),
        ],
        AgentAddress::Sockets(directory) => {
            let path = directory.join(check::socket_directory(template, workload)?);
            // `Directory` holds the pod until the agent, which makes it, knows the pod.
            vec![json!({
                "name": AGENT_VOLUME,
                "hostPath": {"path": path.to_string_lossy(), "type": "Directory"},
            })]
        }
    };
    volumes.push(json!({"name": SNAPSHOT_VOLUME, "emptyDir": {}}));
    Ok(volumes)
}
