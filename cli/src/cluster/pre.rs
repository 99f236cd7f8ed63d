//! Whether Remora could be installed.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use super::explain;
use super::report::Check;

/// The oldest Kubernetes whose native sidecars count on.
const OLDEST: (u32, u32) = (1, 33);
/// What an installation makes.
const MAKES: [(&str, &str); 8] = [
    ("", "namespaces"),
    ("apps", "deployments"),
    ("", "services"),
    ("", "configmaps"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
];
/// Webhooks of meshes that redirect pods, too.
const MESHES: [(&str, &str); 4] =
    [("istio", "Istio"), ("linkerd", "Linkerd"), ("kuma", "Kuma"), ("consul", "Consul")];

/// Everything that is looked at.
pub(super) async fn checks(client: &Client) -> Vec<Check> {
    let version = version(client).await;
    let is_there = version.outcome_is_good();
    let mut checks = vec![version];
    if is_there {
        checks.push(nodes(client).await);
        checks.push(rights(client).await);
        checks.extend(meshes(client).await);
    }
    checks
}

/// The API server, and its version.
pub(super) async fn version(client: &Client) -> Check {
    let outcome = match client.apiserver_version().await {
        Err(error) => Err(format!("it does not answer: {}", explain(&error))),
        Ok(info) => match number(&format!("{}.{}", info.major, info.minor)) {
            Some(found) if found >= OLDEST => Ok(info.git_version),
            _ => Err(format!(
                "it is {}: {}.{} is the oldest that will do",
                info.git_version, OLDEST.0, OLDEST.1
            )),
        },
    };
    Check::new("kubernetes", "api-server", outcome)
}

/// `1.33` of `v1.33.4-gke.12`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let digits = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part.get(..end)?.parse().ok()
    };
    Some((digits(parts.next()?)?, digits(parts.next()?)?))
}

async fn nodes(client: &Client) -> Check {
    let api: Api<Node> = Api::all(client.clone());
    let outcome = match api.list(&ListParams::default()).await {
        Err(error) => Err(format!("they cannot be listed: {}", explain(&error))),
        Ok(nodes) => {
            let old: Vec<_> = nodes
                .iter()
                .filter_map(|node| {
                    let info = node.status.as_ref()?.node_info.as_ref()?;
                    let is_old = number(&info.kubelet_version).is_none_or(|found| found < OLDEST);
                    let name = node.metadata.name.as_deref().unwrap_or_default();
                    (info.operating_system == "linux" && is_old)
                        .then(|| format!("{name} ({})", info.kubelet_version))
                })
                .collect();
            match old.is_empty() {
                true => Ok(format!("{} of them, all with native sidecars", nodes.items.len())),
                false => Err(format!("too old for native sidecars: {}", old.join(", "))),
            }
        }
    };
    Check::new("kubernetes", "nodes", outcome)
}

async fn rights(client: &Client) -> Check {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for (group, resource) in MAKES {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        match api.create(&PostParams::default(), &review).await {
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {}
            Ok(_) => missing.push(resource.to_owned()),
            Err(error) => missing.push(format!("{resource} ({})", explain(&error))),
        }
    }
    let outcome = match missing.is_empty() {
        true => Ok("you may make what an installation makes".to_owned()),
        false => Err(format!("you may not create {}", missing.join(", "))),
    };
    Check::new("rights", "install-rights", outcome)
}

async fn meshes(client: &Client) -> Option<Check> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let found = api.list_metadata(&ListParams::default()).await.ok()?;
    let names: Vec<_> = found.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
    let meshes = MESHES.iter().filter(|(word, _)| names.iter().any(|name| name.contains(word)));
    let meshes: Vec<_> = meshes.map(|(_, mesh)| *mesh).collect();
    let text = match meshes.is_empty() {
        true => return Some(Check::new("others", "other-meshes", Ok("none".to_owned()))),
        false => format!("{} is there: a pod can be in one mesh only", meshes.join(", ")),
    };
    Some(Check::warning("others", "other-meshes", text))
}

impl Check {
    pub(super) fn outcome_is_good(&self) -> bool {
        super::report::is_good(std::slice::from_ref(self))
    }
}
