//! The patch: applied, it gives what `inject` gives, whatever the pod has besides.

use proptest::prelude::*;
use remora_injector::admission::{Mode, diff};
use remora_injector::{InjectConfig, inject};
use serde_json::{Map, Value, json};

use crate::{answer, created, pod, response};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        (0..3).prop_map(Value::from),
        "[a-b]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let map = prop::collection::hash_map("[a-c~/]{0,2}", inner.clone(), 0..4)
            .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()));
        let named = ("[a-e]", inner.clone()).prop_map(|(name, x)| json!({"name": name, "x": x}));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(named, 0..5).prop_map(Value::from),
            map,
        ]
    })
}

fn apply(operations: Vec<Value>, to: &Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(operations.into()).expect("a patch");
    let mut value = to.clone();
    json_patch::patch(&mut value, &patch).expect("a patch that applies");
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_difference_applied_is_the_other_value(before in value(), after in value()) {
        prop_assert_eq!(apply(diff(&before, &after), &before), after);
    }

    #[test]
    fn the_patch_gives_what_inject_gives(extra in value(), at in 0..5) {
        let mut pod = pod();
        match at {
            0 => pod["spec"]["extra~/"] = extra,
            1 => pod["metadata"]["extra"] = extra,
            2 => pod["spec"]["containers"][0]["extra"] = extra,
            3 => pod["spec"]["volumes"] = json!([{"name": "a", "extra": extra}]),
            _ => pod["extra"] = extra,
        }
        let expected = inject(&pod, &InjectConfig::default()).expect("injectable");
        let first = answer(&pod, Mode::Enabled);
        let once = created(&pod, &first);
        prop_assert_eq!(&once, &expected);
        let second = answer(&once, Mode::Enabled);
        prop_assert_eq!(response(&second).get("patch"), None);
    }
}

#[test]
fn a_patch_names_what_is_added_and_nothing_else() {
    let mut pod = pod();
    pod["spec"]["volumes"] = json!([{"name": "data"}]);
    let injected = inject(&pod, &InjectConfig::default()).expect("injectable");
    let operations = diff(&pod, &injected);
    let paths: Vec<_> = operations
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["op"].as_str().expect("an op"),
                one["path"].as_str().expect("a path")
            )
        })
        .collect();
    let expected = [
        "add /metadata/annotations",
        "add /spec/volumes/1",
        "add /spec/volumes/2",
        "add /spec/volumes/3",
        "add /spec/initContainers",
    ];
    assert_eq!(paths, expected);
}
