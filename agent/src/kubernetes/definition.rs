//! Whether a kind of policy exists, and whether its definition still has
//! everything that policies are written in.

use remora_policy::PolicyKind;
use serde_json::Value;

use crate::world::Served;

/// What a definition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Definition {
    /// There is none, or none that serves our version.
    Absent,
    /// It is being removed, and all objects with it.
    Going,
    /// It can be used.
    Stands(Served),
}

/// From `rules` of a spec to the field that Cilium 1.20 removed.
const TO_RULES: [&str; 3] = ["ingress", "toPorts", "rules"];
const L7: &str = "l7proto";
/// A part of a schema that leaves what it does not describe as it was written.
const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";

impl Definition {
    /// Reads a `CustomResourceDefinition` of `apiextensions.k8s.io/v1`.
    pub(super) fn of(kind: PolicyKind, definition: Option<&Value>) -> Self {
        let Some(definition) = definition else { return Self::Absent };
        if is_going(definition) {
            return Self::Going;
        }
        let version = kind.api_version().rsplit('/').next().unwrap_or_default();
        match schema(definition, version).filter(|_| is_established(definition)) {
            Some(schema) => Self::Stands(served(schema)),
            None => Self::Absent,
        }
    }
}

/// Whether a kind other than a policy's can be used.
pub(super) fn is_served(version: &str, definition: Option<&Value>) -> bool {
    definition
        .is_some_and(|own| !is_going(own) && is_established(own) && schema(own, version).is_some())
}

/// Whether it is being deleted, and with it, one by one, every object of its kind.
fn is_going(definition: &Value) -> bool {
    definition.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null())
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Established")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// The schema of the version that is watched, if it is served.
fn schema<'a>(definition: &'a Value, version: &str) -> Option<&'a Value> {
    let versions = definition.pointer("/spec/versions")?.as_array()?;
    let is_ours = |entry: &&Value| {
        entry.get("name").and_then(Value::as_str) == Some(version)
            && entry.get("served").and_then(Value::as_bool) == Some(true)
    };
    versions.iter().find(is_ours)?.pointer("/schema/openAPIV3Schema")
}

fn served(schema: &Value) -> Served {
    let specs = ["spec", "specs"].map(|name| property(schema, name).map(rules));
    // `specs` is an alternative that our own kinds need not have.
    let specs = specs.into_iter().flatten();
    specs.fold(Served::Whole, |worst, one| if worst == Served::Whole { one } else { worst })
}

/// What a schema leaves of the L7 rules of one spec.
fn rules(spec: &Value) -> Served {
    let mut at = spec;
    for name in TO_RULES {
        // What a schema describes is pruned by that description, also in the
        // middle of what is preserved.
        match property(at, name) {
            Some(next) => at = next,
            None if preserves(at) => return Served::Whole,
            None => return Served::Cut { has_rules: false },
        }
    }
    match preserves(at) || property(at, L7).is_some() {
        true => Served::Whole,
        false => Served::Cut { has_rules: true },
    }
}

fn preserves(schema: &Value) -> bool {
    schema.get(PRESERVES).and_then(Value::as_bool) == Some(true)
}

/// A property's schema, of the items where it is a list.
fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let own = schema.get("properties")?.get(name)?;
    Some(own.get("items").unwrap_or(own))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CNP: PolicyKind = PolicyKind::CiliumNetworkPolicy;

    fn with_rules(rules: &Value) -> Value {
        let spec = json!({"properties": {"ingress": {"items": {"properties": {
            "toPorts": {"items": {"properties": rules}}}}}}});
        json!({
            "metadata": {"name": "ciliumnetworkpolicies.cilium.io"},
            "spec": {"versions": [
                {"name": "v1", "served": true, "schema": {}},
                {"name": "v2", "served": true, "schema": {"openAPIV3Schema": {"properties": {
                    "spec": spec, "specs": {"items": spec}}}}},
            ]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        })
    }

    fn of(definition: &Value) -> Definition {
        Definition::of(CNP, Some(definition))
    }

    #[test]
    fn what_the_schema_still_has_decides() {
        let whole = with_rules(&json!({"rules": {"properties": {"http": {}, "l7proto": {}}}}));
        assert_eq!(of(&whole), Definition::Stands(Served::Whole));
        let cut = with_rules(&json!({"rules": {"properties": {"http": {}, "dns": {}}}}));
        assert_eq!(of(&cut), Definition::Stands(Served::Cut { has_rules: true }));
        let gone = with_rules(&json!({"ports": {}}));
        assert_eq!(of(&gone), Definition::Stands(Served::Cut { has_rules: false }));
        let preserved = with_rules(&json!({"rules": {PRESERVES: true}}));
        assert_eq!(of(&preserved), Definition::Stands(Served::Whole));
    }

    #[test]
    fn what_is_described_is_pruned_also_within_what_is_preserved() {
        let preserving = |mut definition: Value| {
            for spec in ["spec", "specs/items"] {
                let path = format!("/spec/versions/1/schema/openAPIV3Schema/properties/{spec}");
                definition.pointer_mut(&path).expect("a schema")[PRESERVES] = json!(true);
            }
            definition
        };
        let cut = preserving(with_rules(&json!({"rules": {"properties": {"http": {}}}})));
        assert_eq!(of(&cut), Definition::Stands(Served::Cut { has_rules: true }));
        let mut undescribed = preserving(with_rules(&json!({})));
        for spec in ["spec", "specs/items"] {
            let path =
                format!("/spec/versions/1/schema/openAPIV3Schema/properties/{spec}/properties");
            *undescribed.pointer_mut(&path).expect("properties") = json!({});
        }
        assert_eq!(of(&undescribed), Definition::Stands(Served::Whole));
    }

    #[test]
    fn one_of_two_places_is_not_enough() {
        let mut definition = with_rules(&json!({"rules": {"properties": {"l7proto": {}}}}));
        let path = "/spec/versions/1/schema/openAPIV3Schema/properties/specs/items";
        *definition.pointer_mut(path).expect("there") = json!({"properties": {}});
        assert_eq!(of(&definition), Definition::Stands(Served::Cut { has_rules: false }));
    }

    #[test]
    fn a_definition_must_be_there_established_and_not_going() {
        assert_eq!(Definition::of(CNP, None), Definition::Absent);
        let whole = with_rules(&json!({"rules": {"properties": {"l7proto": {}}}}));
        let mut early = whole.clone();
        early["status"] = json!({"conditions": [{"type": "Established", "status": "False"}]});
        assert_eq!(of(&early), Definition::Absent);
        let mut other = whole.clone();
        other["spec"]["versions"][1]["served"] = json!(false);
        assert_eq!(of(&other), Definition::Absent);
        let mut going = whole;
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(of(&going), Definition::Going);
    }

    #[test]
    fn our_own_definitions_are_whole() {
        for crd in crate::crd::all() {
            let mut definition = serde_json::to_value(&crd).expect("JSON");
            definition["status"] =
                json!({"conditions": [{"type": "Established", "status": "True"}]});
            let kind = PolicyKind::ALL.into_iter().find(|kind| kind.name() == crd.spec.names.kind);
            let found = Definition::of(kind.expect("a kind"), Some(&definition));
            assert_eq!(found, Definition::Stands(Served::Whole), "{}", crd.spec.names.kind);
        }
    }
}
