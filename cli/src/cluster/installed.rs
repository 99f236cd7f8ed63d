//! Whether an installation works.

use std::time::SystemTime;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use remora_injector::admission::{INJECT_LABEL, Mode, Standing};
use remora_injector::is_injected;
use serde_json::json;

use super::report::Check;
use super::{explain, metrics, pods, pre};

/// What the kinds of policy are defined by, and the second net's policies.
const DEFINITIONS: [&str; 2] =
    ["l7policies.policy.remora.dev", "clusterl7policies.policy.remora.dev"];
const POLICIES: [&str; 3] = ["remora-debug", "remora-namespaces", "remora-pods"];
/// Fewer seconds than these are too few: a certificate that is renewed has more.
const LEAST_LIFE: f64 = 3600.0;

/// Everything that is looked at.
pub(super) async fn checks(client: &Client, install: &str) -> Vec<Check> {
    let version = pre::version(client).await;
    if !version.outcome_is_good() {
        return vec![version];
    }
    let mut checks = vec![version, definitions(client).await];
    for (category, name, part) in
        [("agent", "agent-ready", "agent"), ("injector", "injector-ready", "injector")]
    {
        checks.push(Check::new(category, name, ready(client, install, part).await));
    }
    checks.push(Check::new("injector", "webhooks", webhooks(client).await));
    checks.push(Check::new("injector", "certificates", certificates(client, install).await));
    checks.push(second_net(client).await);
    match namespaces(client).await {
        Err(error) => checks.push(Check::new("namespaces", "labels", Err(error))),
        Ok(all) => {
            checks.push(labels(&all, install));
            checks.extend(pod_security(&all, install));
            checks.push(trial(client, &all, install).await);
            checks.extend(pods::checks(client, &all, install).await);
        }
    }
    checks
}

async fn definitions(client: &Client) -> Check {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut missing = Vec::new();
    for name in DEFINITIONS {
        let found = api.get_opt(name).await.ok().flatten();
        let conditions = found.and_then(|one| one.status).and_then(|status| status.conditions);
        let holds = conditions
            .unwrap_or_default()
            .iter()
            .any(|one| one.type_ == "Established" && one.status == "True");
        missing.extend((!holds).then_some(name));
    }
    let outcome = match missing.is_empty() {
        true => Ok("the kinds of policy are served".to_owned()),
        false => Err(format!("not served: {}", missing.join(", "))),
    };
    Check::new("kubernetes", "definitions", outcome)
}

async fn ready(client: &Client, install: &str, part: &str) -> Result<String, String> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), install);
    let name = format!("remora-{part}");
    let found = api.get_opt(&name).await.map_err(|error| explain(&error))?;
    let status =
        found.ok_or(format!("there is no Deployment {name} in namespace {install}"))?.status;
    let status = status.unwrap_or_default();
    let (ready, all) = (status.ready_replicas.unwrap_or(0), status.replicas.unwrap_or(0));
    match ready > 0 {
        true => Ok(format!("{ready} of {all} replicas are ready")),
        false => Err(format!("none of {all} replicas is ready: see its log")),
    }
}

async fn webhooks(client: &Client) -> Result<String, String> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let found = api.get_opt("remora-injector").await.map_err(|error| explain(&error))?;
    let hooks = found.and_then(|found| found.webhooks).unwrap_or_default();
    if hooks.len() != 2 {
        return Err("webhook configuration remora-injector is not there, or not ours".to_owned());
    }
    let bare: Vec<_> = hooks
        .iter()
        .filter(|hook| hook.client_config.ca_bundle.as_ref().is_none_or(|all| all.0.is_empty()))
        .map(|hook| hook.name.as_str())
        .collect();
    match bare.is_empty() {
        true => Ok("both are there, with a caBundle".to_owned()),
        false => Err(format!("no caBundle yet: {}", bare.join(", "))),
    }
}

async fn certificates(client: &Client, install: &str) -> Result<String, String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), install);
    let only = ListParams::default().labels("app.kubernetes.io/name=remora-injector");
    let pods = api.list(&only).await.map_err(|error| explain(&error))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut least = None;
    for pod in pods.iter().filter_map(|pod| pod.metadata.name.as_deref()) {
        let text = metrics::scrape(client, install, pod)
            .await
            .map_err(|error| format!("{pod}: {error}"))?;
        let name = "remora_injector_certificate_expiry_timestamp_seconds";
        let end = metrics::sum(&text, name, "").unwrap_or(0.0);
        let left = end - now.as_secs_f64();
        least = Some(least.map_or(left, |least: f64| least.min(left)));
    }
    match least {
        None => Err("there is no injector to ask".to_owned()),
        Some(left) if left < LEAST_LIFE => {
            Err(format!("the injector's ends in {left:.0} s, and was not renewed"))
        }
        Some(left) => Ok(format!("the injector's is good for {:.1} h more", left / 3600.0)),
    }
}

async fn second_net(client: &Client) -> Check {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let mut missing = Vec::new();
    for name in POLICIES {
        let is_there = bindings.get_opt(name).await.ok().flatten().is_some();
        missing.extend((!is_there).then(|| format!("policy {name}")));
    }
    match missing.is_empty() {
        true => Check::new("policies", "second-net", Ok("it is there".to_owned())),
        false => {
            let text = format!(
                "without {}, only the webhook holds in enforced namespaces",
                missing.join(", ")
            );
            Check::warning("policies", "second-net", text)
        }
    }
}

/// A namespace, and what matters of it.
pub(super) struct Labels {
    pub(super) name: String,
    inject: Option<String>,
    pod_security: Option<String>,
}

impl Labels {
    pub(super) fn standing(&self, install: &str) -> Standing {
        Standing::of(&self.name, self.inject.as_deref(), install)
    }
}

pub(super) async fn namespaces(client: &Client) -> Result<Vec<Labels>, String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let all = api.list_metadata(&ListParams::default()).await.map_err(|error| explain(&error))?;
    let read = |one: kube::core::PartialObjectMeta<Namespace>| {
        let labels = one.metadata.labels.unwrap_or_default();
        Labels {
            name: one.metadata.name.unwrap_or_default(),
            inject: labels.get(INJECT_LABEL).cloned(),
            pod_security: labels.get("pod-security.kubernetes.io/enforce").cloned(),
        }
    };
    Ok(all.into_iter().map(read).collect())
}

fn labels(all: &[Labels], install: &str) -> Check {
    let wrong = all.iter().filter(|one| one.standing(install) == Standing::Misspelt);
    let wrong: Vec<_> = wrong
        .map(|one| format!("{}={}", one.name, one.inject.as_deref().unwrap_or_default()))
        .collect();
    let count = |mode| all.iter().filter(|one| one.standing(install) == Standing::In(mode)).count();
    let outcome = match wrong.is_empty() {
        true => Ok(format!("{} enabled, {} enforced", count(Mode::Enabled), count(Mode::Enforced))),
        false => Err(format!(
            "{INJECT_LABEL} means nothing where it is {}: pods there run without Remora",
            wrong.join(", ")
        )),
    };
    Check::new("namespaces", "labels", outcome)
}

fn pod_security(all: &[Labels], install: &str) -> Option<Check> {
    let is_tight = |one: &&Labels| {
        matches!(one.standing(install), Standing::In(_))
            && matches!(one.pod_security.as_deref(), Some("baseline" | "restricted"))
    };
    let tight: Vec<_> = all.iter().filter(is_tight).map(|one| one.name.as_str()).collect();
    let text = format!("it refuses pods with Remora in {}", tight.join(", "));
    (!tight.is_empty()).then(|| Check::new("namespaces", "pod-security", Err(text)))
}

/// A pod that is created for the sake of the answer alone.
async fn trial(client: &Client, all: &[Labels], install: &str) -> Check {
    let (category, name) = ("namespaces", "injects");
    let Some(namespace) = all.iter().find(|one| matches!(one.standing(install), Standing::In(_)))
    else {
        let text = format!(
            "no namespace has the label: kubectl label namespace NAME {INJECT_LABEL}=enabled"
        );
        return Check::warning(category, name, text);
    };
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "remora-check"},
        "spec": {"containers": [{"name": "app", "image": "example", "securityContext": context}]},
    });
    let outcome = async {
        let pod: Pod = serde_json::from_value(pod).map_err(|error| error.to_string())?;
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace.name);
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let made = api.create(&params, &pod).await.map_err(|error| explain(&error))?;
        let made = serde_json::to_value(made).map_err(|error| error.to_string())?;
        match is_injected(&made) {
            true => Ok(format!("a pod tried in namespace {} has Remora", namespace.name)),
            false => Err(format!(
                "a pod tried in namespace {} is without Remora: API servers do not reach the webhook",
                namespace.name
            )),
        }
    };
    Check::new(category, name, outcome.await)
}
