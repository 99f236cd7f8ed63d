//! The kinds of policy that are our own, as Kubernetes is told of them.
//!
//! A policy's spec is that of a CiliumNetworkPolicy. What may stand in it is
//! for the policy crate to say, which knows more than a schema can and gives the
//! remedy; the API server keeps every field, so that nothing is lost before it
//! is read. `deploy/crds` holds what [`yaml`] makes of these types.

#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::{CustomResource, CustomResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The rules, as those of a `CiliumNetworkPolicy`.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "policy.remora.dev",
    version = "v1alpha1",
    kind = "L7Policy",
    doc = "Which requests may reach pods of one namespace.",
    plural = "l7policies",
    namespaced,
    status = "PolicyStatus",
    category = "remora",
    shortname = "l7p",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name":"Selected","type":"integer","jsonPath":".status.endpointsSelected"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Accepted')].message"}"#
)]
pub struct L7PolicySpec {
    /// Every field.
    #[serde(flatten)]
    #[schemars(schema_with = "anything")]
    pub rules: serde_json::Map<String, serde_json::Value>,
}

/// The rules, as those of a `CiliumClusterwideNetworkPolicy`.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "policy.remora.dev",
    version = "v1alpha1",
    kind = "ClusterL7Policy",
    doc = "Which requests may reach pods of the whole cluster.",
    plural = "clusterl7policies",
    status = "PolicyStatus",
    category = "remora",
    shortname = "cl7p",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name":"Selected","type":"integer","jsonPath":".status.endpointsSelected"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Accepted')].message"}"#
)]
pub struct ClusterL7PolicySpec {
    /// Every field.
    #[serde(flatten)]
    #[schemars(schema_with = "anything")]
    pub rules: serde_json::Map<String, serde_json::Value>,
}

/// What the agent made of a policy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// `Accepted`, and why or why not.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// How many pods with a sidecar the policy selects, as it is in force.
    #[serde(default)]
    pub endpoints_selected: i64,
    /// Which generation of the policy this is about.
    #[serde(default)]
    pub observed_generation: i64,
}

/// One thing that is so or not, in the form of all Kubernetes conditions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What: `Accepted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether: `True` or `False`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, with field and remedy.
    pub message: String,
    /// Since when the status is what it is.
    #[schemars(schema_with = "timestamp")]
    pub last_transition_time: Timestamp,
    /// Which generation of the policy this is about.
    #[serde(default)]
    pub observed_generation: i64,
}

/// The definitions of all kinds that are our own.
#[must_use]
pub fn all() -> [CustomResourceDefinition; 2] {
    [L7Policy::crd(), ClusterL7Policy::crd()]
}

/// A definition as it lies in `deploy/crds`.
///
/// # Errors
/// It is no JSON value: a bug of the types above.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_json::Error> {
    let json = serde_json::to_value(definition)?;
    Ok(format!(
        "# Made from agent/src/crd by its tests; do not edit.\n{}",
        remora_manifest::to_yaml(&json)
    ))
}

/// An object of which the API server keeps everything.
fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn timestamp(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
