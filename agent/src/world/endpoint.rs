//! What a pod that has no sidecar of its own tells its node's proxy: who it is,
//! and the variables that its sidecar would have.
//!
//! Of the variables that a manifest gives, those are taken that are the pod's own
//! affair: its limits, its probes, how it is logged. Where the proxy's files and
//! sockets are, no pod decides.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use remora_api::endpoints::{Endpoint, Variable};
use remora_manifest::{Node, Value};

use super::pod::{Pod, PodKey};
use crate::notice::{Notice, Severity};

/// The variables that a pod may give.
const TAKEN: [&str; 15] = [
    "REMORA_ACCESS_LOG",
    "REMORA_ACCESS_LOG_FIELDS",
    "REMORA_ACCESS_LOG_RATE",
    "REMORA_DRAIN_SECONDS",
    "REMORA_FIRST_BYTE_SECONDS",
    "REMORA_FRAME_SECONDS",
    "REMORA_IDLE_SECONDS",
    "REMORA_MAX_CONNECTIONS",
    "REMORA_MAX_CONNECTIONS_PER_SOURCE",
    "REMORA_MAX_DENIALS_PER_SECOND",
    "REMORA_MAX_HELD_BYTES",
    "REMORA_PEER_SECONDS",
    "REMORA_PROBES",
    "REMORA_SNAPSHOT_MAX_AGE_SECONDS",
    "REMORA_UNKNOWN_WAIT_SECONDS",
];

/// Those that the injector writes for a sidecar and that mean nothing on a node,
/// where there is one log and nobody who waits for an app.
const MEANINGLESS: [&str; 3] = ["REMORA_DRAIN_DELAY_SECONDS", "REMORA_LOG", "REMORA_THREADS"];

/// A pod as its node's proxy is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OnNode {
    /// The node that it runs on.
    pub node: String,
    /// What is sent.
    pub endpoint: Endpoint,
}

/// What a container's variables come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Taken {
    pub(super) variables: BTreeMap<String, String>,
    /// The names of those that are not taken though somebody meant something.
    pub(super) left_out: Vec<String>,
}

impl OnNode {
    /// A pod on `node`, by its key, uid, addresses and its node's address.
    pub(super) fn new(
        node: &str,
        (key, uid): (&PodKey, &str),
        addresses: &[IpAddr],
        host: Option<&str>,
        mut variables: BTreeMap<String, String>,
    ) -> Self {
        let ips: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let own = [
            ("REMORA_HOST_IP", host.unwrap_or_default()),
            ("REMORA_POD_IPS", &ips.join(",")),
            ("REMORA_POD_NAME", &key.name),
            ("REMORA_POD_NAMESPACE", &key.namespace),
            ("REMORA_POD_UID", uid),
        ];
        variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let variables = variables.into_iter().map(|(name, value)| Variable { name, value });
        Self {
            node: node.to_owned(),
            endpoint: Endpoint {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                uid: uid.to_owned(),
                variables: variables.collect(),
            },
        }
    }
}

/// The variables of a container that are texts, as its process would see them.
pub(super) fn variables(container: &Node) -> Taken {
    let mut taken = Taken::default();
    let Some(Value::List(given)) = container.get("env").map(|env| &env.value) else { return taken };
    for variable in given {
        let text = |name: &str| variable.get(name).and_then(Node::as_str);
        let Some(name) = text("name").filter(|_| variable.get("valueFrom").is_none()) else {
            continue;
        };
        if TAKEN.contains(&name) {
            taken.variables.insert(name.to_owned(), unescaped(text("value").unwrap_or_default()));
        } else if !MEANINGLESS.contains(&name) {
            taken.left_out.push(name.to_owned());
        }
    }
    taken
}

/// As the kubelet reads it: two dollars are one. What would be replaced by another
/// variable stays as it is; the injector writes nothing of the kind.
fn unescaped(value: &str) -> String {
    value.replace("$$", "$")
}

/// What its author should know of a pod whose node's proxy serves it.
pub(super) fn left_out(pod: &Pod) -> Option<Notice> {
    let names = pod.left_out.join(", ");
    let text = format!(
        "{}: pod {}: its node's proxy does not take {names} from a pod; remove it from the container `remora`",
        pod.place, pod.key
    );
    (!names.is_empty()).then(|| Notice::new(Severity::Warning, pod.revision, text))
}
