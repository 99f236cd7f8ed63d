//! What comes out: compared with what is committed, and with the types of the API.

use std::{collections::BTreeSet, env, fs};

use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
            ValidatingAdmissionPolicyBinding,
        },
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{ConfigMap, Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{find, helm, kind, objects, rendered, root};

const BUNDLE: &str = "certificates.caBundle=-----BEGIN CERTIFICATE-----\nx";

/// Each golden file with its values.
const GOLDEN: [(&str, &[&str]); 6] = [
    ("default", &[]),
    (
        "ha",
        &[
            "ha=true",
            "networkPolicy.enabled=true",
            "monitoring.podMonitor.enabled=true",
            "monitoring.serviceMonitor.enabled=true",
            "monitoring.serviceMonitor.labels.release=prometheus",
            "images.registry=registry.example.com/mirror",
            "images.pullSecrets={regcred}",
            "images.sidecar.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123",
            "images.previous.sidecar={remora/sidecar:0.0.9}",
            "agent.clusterCidrs={10.0.0.0/8,fd00::/8}",
            "injector.port=10250",
            "injector.exemptNamespaces={monitoring}",
            "injector.limits.idle-timeout=2h",
            "commonLabels.team=platform",
        ],
    ),
    (
        "node",
        &[
            "mode=node",
            "networkPolicy.enabled=true",
            "images.registry=registry.example.com/mirror",
            "images.pullSecrets={regcred}",
            "node.threads=2",
            "node.accessLog=text",
            "node.seLinuxOptions.type=spc_t",
            "node.podAnnotations.team=platform",
        ],
    ),
    ("cert-manager", &["certificates.mode=cert-manager", "certificates.issuer.name=ours"]),
    ("provided", &["certificates.mode=provided", "certificates.secretName=own-tls", BUNDLE]),
    ("agent-alone", &["injector.enabled=false", "policies.enabled=false", "crds.install=false"]),
];

/// With `REMORA_UPDATE=1` it writes what it would otherwise compare.
#[test]
fn what_is_rendered_is_what_is_committed() {
    for (name, values) in GOLDEN {
        let path = root().join("e2e/tests/chart/golden").join(format!("{name}.yaml"));
        let text = rendered(values).expect("rendered");
        if env::var_os("REMORA_UPDATE").is_some() {
            fs::write(&path, &text).expect("written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{name}: look at what changed: REMORA_UPDATE=1 cargo test -p remora-e2e --test chart"
        );
    }
}

#[test]
fn helm_has_no_complaint() {
    let output = helm(&["lint", "charts/remora", "--strict"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// An object goes through the type that the API server has for it, and nothing of it is lost: no
/// field is misspelt, none is of another type.
fn survives<T: Serialize + DeserializeOwned>(object: &Value) -> Result<(), String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let back = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    lost(object, &back, "")
}

fn lost(before: &Value, after: &Value, at: &str) -> Result<(), String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            before.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(name, value)| {
                let at = format!("{at}.{name}");
                let is_empty = value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(serde_json::Map::is_empty);
                match after.get(name) {
                    Some(kept) => lost(value, kept, &at),
                    None if is_empty => Ok(()),
                    None => Err(format!("{at} is no field of the API")),
                }
            })
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let pairs = before.iter().zip(after).enumerate();
            pairs
                .into_iter()
                .try_for_each(|(n, (one, other))| lost(one, other, &format!("{at}[{n}]")))
        }
        (one, other) if one == other => Ok(()),
        (one, other) => Err(format!("{at} is {one}, and {other} for the API")),
    }
}

#[test]
fn every_object_is_one_of_the_api() {
    let mut kinds = BTreeSet::new();
    for (name, values) in GOLDEN {
        for object in objects(&rendered(values).expect("rendered")) {
            let kind = kind(&object).to_owned();
            let outcome = match kind.as_str() {
                "ServiceAccount" => survives::<ServiceAccount>(&object),
                "ConfigMap" => survives::<ConfigMap>(&object),
                "Service" => survives::<Service>(&object),
                "Pod" => survives::<Pod>(&object),
                "Job" => survives::<Job>(&object),
                "Deployment" => survives::<Deployment>(&object),
                "DaemonSet" => survives::<DaemonSet>(&object),
                "ClusterRole" => survives::<ClusterRole>(&object),
                "ClusterRoleBinding" => survives::<ClusterRoleBinding>(&object),
                "Role" => survives::<Role>(&object),
                "RoleBinding" => survives::<RoleBinding>(&object),
                "NetworkPolicy" => survives::<NetworkPolicy>(&object),
                "PodDisruptionBudget" => survives::<PodDisruptionBudget>(&object),
                "MutatingWebhookConfiguration" => survives::<MutatingWebhookConfiguration>(&object),
                "ValidatingAdmissionPolicy" => survives::<ValidatingAdmissionPolicy>(&object),
                "ValidatingAdmissionPolicyBinding" => {
                    survives::<ValidatingAdmissionPolicyBinding>(&object)
                }
                "CustomResourceDefinition" => survives::<CustomResourceDefinition>(&object),
                // Kinds of operators, whose types are not here.
                "Certificate" | "PodMonitor" | "ServiceMonitor" => Ok(()),
                other => Err(format!("nobody looks at a {other}")),
            };
            outcome.unwrap_or_else(|why| {
                panic!("{name}: {kind} {}: {why}", object["metadata"]["name"])
            });
            kinds.insert(kind);
        }
    }
    assert_eq!(kinds.len(), 20, "{kinds:?}");
}

#[test]
fn what_would_drift_or_leak_is_never_rendered() {
    for (name, values) in GOLDEN {
        let all = objects(&rendered(values).expect("rendered"));
        assert!(all.iter().all(|object| kind(object) != "Secret"), "{name}");
        let hooks = all.iter().filter(|object| kind(object) == "MutatingWebhookConfiguration");
        for hook in hooks.flat_map(|object| object["webhooks"].as_array().expect("webhooks")) {
            let given = hook["clientConfig"].get("caBundle").is_some();
            assert_eq!(given, name == "provided", "{name}: a bundle in {}", hook["name"]);
            assert_eq!(
                (&hook["timeoutSeconds"], &hook["sideEffects"]),
                (&3.into(), &"NoneOnDryRun".into())
            );
            let own = hook["namespaceSelector"].to_string();
            assert!(own.contains("kube-system") && own.contains("\"remora\""), "{own}");
        }
    }
    let (first, second) = (rendered(&[]), rendered(&[]));
    assert_eq!(first, second, "two renders differ");
}

#[test]
fn definitions_outlive_the_release_and_are_those_of_deploy() {
    let all = objects(&rendered(&[]).expect("rendered"));
    let mut count = 0;
    for file in fs::read_dir(root().join("deploy/crds")).expect("definitions") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("text");
        let [deployed] = objects(&text).try_into().expect("one definition");
        let name = deployed["metadata"]["name"].as_str().expect("a name");
        let rendered = find(&all, "CustomResourceDefinition", name);
        assert_eq!(rendered["spec"], deployed["spec"], "{name}");
        assert_eq!(rendered["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        count += 1;
    }
    assert_eq!(
        count,
        all.iter().filter(|object| kind(object) == "CustomResourceDefinition").count()
    );
}
