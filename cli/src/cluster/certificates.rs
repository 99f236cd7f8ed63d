//! For how long the certificates of agent and injector are good.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{metrics, status::age};

/// A pod of the installation, and the seconds that its certificate has left, if it says so.
pub(super) type End = (String, Option<f64>);

/// Of each pod of the installation.
pub(super) async fn ends(client: &Client, install: &str, now: f64) -> Vec<End> {
    let mut ends = Vec::new();
    let api: Api<Pod> = Api::namespaced(client.clone(), install);
    // Of the agent its own: the CA's ends later.
    for (part, label) in [("agent", "certificate=\"leaf\""), ("injector", "")] {
        let metric = format!("remora_{part}_certificate_expiry_timestamp_seconds");
        let only = ListParams::default().labels(&format!("app.kubernetes.io/name=remora-{part}"));
        let pods = api.list(&only).await.map(|list| list.items).unwrap_or_default();
        for pod in pods.into_iter().filter_map(|pod| pod.metadata.name) {
            let text = metrics::scrape(client, install, &pod).await.unwrap_or_default();
            let end = metrics::sum(&text, &metric, label).filter(|end| *end > 0.0);
            ends.push((pod, end.map(|end| end - now)));
        }
    }
    ends
}

/// For people.
pub(super) fn line(ends: &[End]) -> String {
    let one = |(pod, left): &End| format!("{pod} {}", left.map_or("?".to_owned(), age));
    ends.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// For programs.
pub(super) fn to_json(ends: &[End]) -> Value {
    ends.iter().map(|(pod, left)| json!({"pod": pod, "endsInSeconds": left})).collect()
}
