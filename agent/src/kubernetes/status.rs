//! What a policy's author is told: as its status, and as an Event where the
//! kind is not our own: its columns do not show what we say.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use remora_policy::{Inserted, PolicyError, PolicyKind, PolicyName};
use serde_json::Value;

use crate::crd::{Condition, PolicyStatus};
use crate::world::{ObjectVersion, PolicyState, consequence};

/// The condition's type on our own kinds.
const ACCEPTED: &str = "Accepted";
/// And on Cilium's, among the conditions that Cilium's own controllers write.
const ACCEPTED_BY_US: &str = "policy.remora.dev/Accepted";
/// Whose Events these are.
const CONTROLLER: &str = "remora-agent";
/// How long a condition's message may be, in bytes: the API server takes 32 KiB.
const MAX_MESSAGE_BYTES: usize = 8 << 10;
/// How long an Event's note may be, in bytes: the API server takes 1 KiB.
const MAX_NOTE_BYTES: usize = 1000;

/// The status that a policy should have, given the one that it has.
pub(super) fn desired(
    state: &PolicyState,
    version: &ObjectVersion,
    now: Timestamp,
) -> PolicyStatus {
    let (status, reason, message) = verdict(state);
    let before = observed(state.kind, version);
    let same = before.conditions.iter().find(|own| own.status == status);
    let condition = |kind: &str, message, observed_generation| Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: shortened(message, MAX_MESSAGE_BYTES),
        last_transition_time: same.map_or(now, |own| own.last_transition_time),
        observed_generation,
    };
    if !is_ours(state.kind) {
        let message = format!("{message}; pods with a sidecar that it selects: {}", state.selected);
        let conditions = vec![condition(ACCEPTED_BY_US, message, 0)];
        return PolicyStatus { conditions, ..PolicyStatus::default() };
    }
    PolicyStatus {
        conditions: vec![condition(ACCEPTED, message, version.generation)],
        endpoints_selected: i64::try_from(state.selected).unwrap_or(i64::MAX),
        observed_generation: version.generation,
    }
}

/// The status that a policy has, as far as it is ours; an empty one if nothing is.
pub(super) fn observed(kind: PolicyKind, version: &ObjectVersion) -> PolicyStatus {
    if is_ours(kind) {
        return serde_json::from_value(version.status.clone()).unwrap_or_default();
    }
    let conditions = version.status.get("conditions").and_then(Value::as_array);
    let is_ours = |own: &&Value| own.get("type").is_some_and(|kind| kind == ACCEPTED_BY_US);
    let ours = conditions.into_iter().flatten().filter(is_ours);
    let conditions = ours.filter_map(|own| serde_json::from_value(own.clone()).ok()).collect();
    PolicyStatus { conditions, ..PolicyStatus::default() }
}

/// What is applied to a policy of Cilium's kind: our one condition, with the
/// fields that its definition has.
pub(super) fn as_applied(key: (PolicyKind, &PolicyName), status: &PolicyStatus) -> Value {
    let (kind, name) = key;
    let mut conditions = serde_json::json!(status.conditions);
    for condition in conditions.as_array_mut().into_iter().flatten() {
        if let Some(fields) = condition.as_object_mut() {
            fields.remove("observedGeneration");
        }
    }
    serde_json::json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "metadata": {"name": name.name},
        "status": {"conditions": conditions},
    })
}

fn verdict(state: &PolicyState) -> (&'static str, &'static str, String) {
    match state.outcome {
        Inserted::InForce if state.warnings.is_empty() => {
            ("True", "InForce", "the policy is in force".to_owned())
        }
        Inserted::InForce => {
            let warnings: Vec<_> =
                state.warnings.iter().map(|text| text.trim_start_matches("-:0: ")).collect();
            let message = format!("the policy is in force; {}", warnings.join("; "));
            ("True", "InForceWithWarnings", message)
        }
        Inserted::KeptLastGood => ("False", "RefusedLastGoodInForce", refusal(state)),
        Inserted::Closed => ("False", "RefusedAndClosed", refusal(state)),
    }
}

/// Everything that is wrong, with its field and the remedy, and what follows.
fn refusal(state: &PolicyState) -> String {
    let error = |error: &PolicyError| format!("{}: {}", error.field, error.message);
    let errors: Vec<_> = state.errors.iter().map(error).collect();
    format!("{}: {}", errors.join("; "), consequence(state.outcome))
}

/// The Event about a refused policy; none for one that is in force.
pub(super) fn event(state: &PolicyState, version: &ObjectVersion, now: Timestamp) -> Option<Event> {
    let (status, reason, message) = verdict(state);
    if status == "True" {
        return None;
    }
    // Those about what is of no namespace go to this one.
    let namespace = state.name.namespace.clone().unwrap_or_else(|| "default".to_owned());
    Some(Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", shortened(state.name.name.clone(), 200))),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        action: Some("Read".to_owned()),
        reason: Some(reason.to_owned()),
        note: Some(shortened(message, MAX_NOTE_BYTES)),
        type_: Some("Warning".to_owned()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(CONTROLLER.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(state.kind.api_version().to_owned()),
            kind: Some(state.kind.name().to_owned()),
            name: Some(state.name.name.clone()),
            namespace: state.name.namespace.clone(),
            uid: Some(version.uid.clone()),
            ..ObjectReference::default()
        }),
        ..Event::default()
    })
}

/// Whether a kind's status is ours to write.
pub(super) fn is_ours(kind: PolicyKind) -> bool {
    matches!(kind, PolicyKind::L7Policy | PolicyKind::ClusterL7Policy)
}

fn shortened(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(outcome: Inserted) -> PolicyState {
        let error = PolicyError {
            file: None,
            line: 0,
            field: "spec.ingress[0]".to_owned(),
            message: "is wrong; mend it".to_owned(),
        };
        PolicyState {
            kind: PolicyKind::L7Policy,
            name: PolicyName { namespace: Some("shop".to_owned()), name: "cache".to_owned() },
            version: None,
            outcome,
            errors: if outcome == Inserted::InForce { Vec::new() } else { vec![error] },
            warnings: Vec::new(),
            selected: 3,
        }
    }

    fn version(generation: i64, status: Option<&PolicyStatus>) -> ObjectVersion {
        let status = status.map(|own| serde_json::to_value(own).expect("JSON")).unwrap_or_default();
        ObjectVersion { uid: "u".to_owned(), generation, status }
    }

    #[test]
    fn a_refusal_names_field_remedy_and_consequence() {
        let now = Timestamp::UNIX_EPOCH;
        let status = desired(&state(Inserted::Closed), &version(7, None), now);
        let condition = &status.conditions[0];
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            ("False", "RefusedAndClosed")
        );
        let expected = "spec.ingress[0]: is wrong; mend it: what it selects is CLOSED until it is mended or removed";
        assert_eq!(condition.message, expected);
        assert_eq!((status.observed_generation, status.endpoints_selected), (7, 3));
    }

    #[test]
    fn a_condition_keeps_its_time_as_long_as_it_holds() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let first = desired(&state(Inserted::InForce), &version(1, None), then);
        let second = desired(&state(Inserted::InForce), &version(2, Some(&first)), now);
        assert_eq!(second.conditions[0].last_transition_time, then);
        let third = desired(&state(Inserted::KeptLastGood), &version(3, Some(&second)), now);
        assert_eq!(third.conditions[0].last_transition_time, now);
        assert_eq!(third.conditions[0].reason, "RefusedLastGoodInForce");
    }

    #[test]
    fn a_strange_status_is_no_obstacle() {
        let strange =
            ObjectVersion { status: serde_json::json!({"conditions": 7}), ..version(1, None) };
        for kind in [PolicyKind::L7Policy, PolicyKind::CiliumNetworkPolicy] {
            assert_eq!(observed(kind, &strange), PolicyStatus::default());
        }
    }

    #[test]
    fn a_policy_of_ciliums_kind_has_our_condition_beside_others() {
        let mut refused = state(Inserted::Closed);
        refused.kind = PolicyKind::CiliumNetworkPolicy;
        let status = desired(&refused, &version(7, None), Timestamp::UNIX_EPOCH);
        let applied = as_applied((refused.kind, &refused.name), &status);
        let condition = &applied["status"]["conditions"][0];
        assert_eq!(condition["type"], "policy.remora.dev/Accepted");
        assert!(condition["message"].as_str().expect("text").ends_with("selects: 3"));
        assert!(condition.get("observedGeneration").is_none(), "its definition has no such field");
        // What the API server tells back is recognised among what others wrote.
        let theirs = serde_json::json!({"type": "Valid", "status": "True"});
        let told = serde_json::json!({"conditions": [theirs, condition]});
        let told = ObjectVersion { status: told, ..version(7, None) };
        assert_eq!(observed(refused.kind, &told), status);
    }

    #[test]
    fn only_a_refusal_is_an_event_and_it_is_short() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(event(&state(Inserted::InForce), &version(1, None), now).is_none());
        let mut refused = state(Inserted::KeptLastGood);
        refused.errors[0].message = "ä".repeat(2000);
        let event = event(&refused, &version(1, None), now).expect("an event");
        assert!(event.note.is_some_and(|note| note.len() <= 1024));
        assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    }
}
