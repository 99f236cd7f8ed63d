//! The laws of injection, over generated pods.

use proptest::prelude::*;
use proptest::sample::select;
use remora_injector::{InjectConfig, inject, is_injected, uninject};
use serde_json::{Map, Value, json};

/// Fields that we know nothing about.
fn unknown() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn object(
    known: impl Strategy<Value = Map<String, Value>>,
) -> impl Strategy<Value = Map<String, Value>> {
    let extra = prop::collection::hash_map("x[A-Z][a-z/~]{0,6}", unknown(), 0..3);
    (known, extra).prop_map(|(mut known, extra)| {
        known.extend(extra);
        known
    })
}

/// A list that is there, empty, null or absent.
fn named_list(names: &'static [&'static str]) -> impl Strategy<Value = Option<Value>> {
    let named = select(names).prop_map(|name| Map::from_iter([("name".to_owned(), json!(name))]));
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        3 => prop::collection::vec(object(named).prop_map(Value::Object), 0..4)
            .prop_map(|items| Some(items.into())),
    ]
}

fn annotations() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({"a~/b": "", "team": "shop"}))),
    ]
}

fn map(entries: Vec<(&str, Option<Value>)>) -> Map<String, Value> {
    entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn pod() -> impl Strategy<Value = Value> {
    let namespace = select(vec![None, Some(json!("shop"))]);
    let metadata = object((annotations(), namespace).prop_map(|(annotations, namespace)| {
        map(vec![
            ("name", Some(json!("cart-0"))),
            ("namespace", namespace),
            ("annotations", annotations),
        ])
    }));
    let lists = (
        named_list(&["migrate", "warm-up", "helper"]),
        named_list(&["app", "second"]),
        named_list(&["data", "cache"]),
    );
    let spec = object(lists.prop_map(|(init, containers, volumes)| {
        map(vec![("initContainers", init), ("containers", containers), ("volumes", volumes)])
    }));
    object((metadata, spec).prop_map(|(metadata, spec)| {
        map(vec![
            ("apiVersion", Some(json!("v1"))),
            ("kind", Some(json!("Pod"))),
            ("metadata", Some(metadata.into())),
            ("spec", Some(spec.into())),
        ])
    }))
    .prop_map(Value::Object)
}

fn injected(pod: &Value) -> Value {
    inject(pod, &InjectConfig::default()).expect("a pod that can be injected")
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn injecting_twice_is_injecting_once(pod in pod()) {
        let once = injected(&pod);
        prop_assert_eq!(injected(&once), once);
    }

    #[test]
    fn uninjecting_gives_the_same_value_and_the_same_text(pod in pod()) {
        let back = uninject(&injected(&pod)).expect("ours");
        prop_assert_eq!(&uninject(&back).expect("a pod"), &back);
        prop_assert_eq!(back, pod);
    }

    #[test]
    fn a_pod_that_was_not_injected_is_left_alone(pod in pod()) {
        prop_assert!(!is_injected(&pod));
        prop_assert_eq!(uninject(&pod).expect("a pod"), pod);
    }

    #[test]
    fn ours_come_first_and_everything_else_survives(pod in pod()) {
        let injected = injected(&pod);
        prop_assert!(is_injected(&injected));
        let all = names(&injected["spec"]["initContainers"]);
        prop_assert_eq!(&all[..2], ["remora-init", "remora"]);
        prop_assert_eq!(&all[2..], names(&pod["spec"]["initContainers"]));
        prop_assert_eq!(&injected["spec"]["containers"], &pod["spec"]["containers"]);
        for part in ["metadata", "spec"] {
            for (name, value) in pod[part].as_object().expect("a map") {
                if !["annotations", "initContainers", "volumes"].contains(&name.as_str()) {
                    prop_assert_eq!(&injected[part][name], value);
                }
            }
        }
    }

    #[test]
    fn what_others_added_after_us_stays(pod in pod(), at in 0usize..3) {
        let mut changed = injected(&pod);
        let theirs = json!({"name": "theirs"});
        for list in ["initContainers", "volumes"] {
            let items = changed["spec"][list].as_array_mut().expect("a list");
            items.insert(at.min(items.len()), theirs.clone());
        }
        changed["metadata"]["annotations"]["theirs"] = json!("x");
        let again = injected(&changed);
        prop_assert_eq!(&injected(&again), &again);
        let back = uninject(&again).expect("ours");
        prop_assert!(!back.to_string().contains("remora"));
        for list in ["initContainers", "volumes"] {
            prop_assert!(names(&back["spec"][list]).contains(&"theirs"));
        }
        prop_assert_eq!(&back["metadata"]["annotations"]["theirs"], "x");
    }

    #[test]
    fn another_version_of_the_settings_replaces_the_first(pod in pod()) {
        let other = InjectConfig { sidecar_image: "r/s:2".to_owned(), ..InjectConfig::default() };
        let direct = inject(&pod, &other).expect("injectable");
        prop_assert_eq!(inject(&injected(&pod), &other).expect("injectable"), direct);
    }
}
