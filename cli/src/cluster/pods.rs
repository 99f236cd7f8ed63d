//! Whether the pods of the labelled namespaces are where Remora has them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use remora_injector::admission::{Standing, State};
use remora_injector::{ProxyMode, proxy_mode};

use super::explain;
use super::installed::Labels;
use super::report::Check;

/// The most pods that are named.
const NAMED: usize = 10;
const CATEGORY: &str = "pods";

/// Pods that matter here, by `NAMESPACE/NAME`.
#[derive(Debug, Default)]
struct Found {
    /// They should be injected, and are not.
    missed: Vec<String>,
    /// They are served by the proxy of their node, with its name.
    on_nodes: Vec<(String, String)>,
}

/// That nobody is missed, and that who counts on a node's proxy has one.
pub(super) async fn checks(client: &Client, all: &[Labels], install: &str) -> Vec<Check> {
    let found = match find(client, all, install).await {
        Ok(found) => found,
        Err(error) => return vec![Check::new(CATEGORY, "missed", Err(error))],
    };
    let missed = match found.missed.as_slice() {
        [] => Ok("every pod that should be injected is".to_owned()),
        some => Err(format!("these run without Remora: {}", named(some))),
    };
    let mut checks = vec![Check::new(CATEGORY, "missed", missed)];
    match proxies(client, install).await {
        Ok(nodes) if nodes.is_empty() && found.on_nodes.is_empty() => {}
        nodes => {
            let outcome = nodes.and_then(|nodes| served(&found.on_nodes, &nodes));
            checks.push(Check::new(CATEGORY, "node-proxies", outcome));
        }
    }
    checks
}

async fn find(client: &Client, all: &[Labels], install: &str) -> Result<Found, String> {
    let mut found = Found::default();
    for namespace in all {
        let Standing::In(mode) = namespace.standing(install) else { continue };
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace.name);
        for pod in api.list(&ListParams::default()).await.map_err(|error| explain(&error))? {
            let json = serde_json::to_value(&pod).unwrap_or_default();
            let name =
                format!("{}/{}", namespace.name, pod.metadata.name.clone().unwrap_or_default());
            let node = pod.spec.and_then(|spec| spec.node_name);
            match (State::of(&json, mode), node) {
                (State::Missed, _) => found.missed.push(name),
                (State::Injected, Some(node)) if proxy_mode(&json) == Some(ProxyMode::Node) => {
                    found.on_nodes.push((name, node));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// The nodes whose proxy is ready.
async fn proxies(client: &Client, install: &str) -> Result<BTreeSet<String>, String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), install);
    let only = ListParams::default().labels("app.kubernetes.io/name=remora-node");
    let pods = api.list(&only).await.map_err(|error| explain(&error))?;
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let ready = pods.into_iter().filter(is_ready);
    Ok(ready.filter_map(|pod| pod.spec?.node_name).collect())
}

fn served(pods: &[(String, String)], nodes: &BTreeSet<String>) -> Result<String, String> {
    let closed = pods.iter().filter(|(_, node)| !nodes.contains(node));
    let closed: Vec<_> = closed.map(|(pod, node)| format!("{pod} on {node}")).collect();
    match closed.as_slice() {
        [] => Ok(format!("ready on {} nodes, for {} pods", nodes.len(), pods.len())),
        some => Err(format!("no proxy of their node serves these pods: {}", named(some))),
    }
}

/// The first of them, and how many more there are.
fn named(all: &[String]) -> String {
    let some = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => some,
        more => format!("{some}, and {more} more"),
    }
}
