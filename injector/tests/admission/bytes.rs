//! Reviews that are none.

use proptest::prelude::*;
use remora_injector::admission::{
    Install, MAX_REVIEW_BYTES, MAX_REVIEW_DEPTH, MAX_REVIEW_VALUES, Malformed, Mode, fuzz, review,
};
use serde_json::{Value, json};

use crate::{pod, review_of};

fn refused(bytes: &[u8]) -> Malformed {
    review(bytes, Mode::Enabled, &Install::default()).expect_err("no review")
}

#[test]
fn what_is_no_review_is_told_what_is_wrong() {
    let set = |pointer: &str, value: Value| {
        let mut review = review_of(&pod());
        *review.pointer_mut(pointer).expect("a field") = value;
        review.to_string()
    };
    let table = [
        (String::new(), "is no JSON"),
        ("[]".to_owned(), "/apiVersion is no text, not admission.k8s.io/v1"),
        ("{}{}".to_owned(), "trailing characters"),
        (set("/request", Value::Null), "/request/operation"),
        (set("/kind", json!("Pod")), "/kind is `Pod`, not AdmissionReview"),
        (set("/apiVersion", json!("admission.k8s.io/v1beta1")), "not admission.k8s.io/v1"),
        (set("/request/uid", json!("")), "request.uid is 0 bytes"),
        (set("/request/uid", json!("x".repeat(129))), "request.uid is 129 bytes"),
        (set("/request/uid", json!(7)), "request.uid"),
        (set("/request/operation", json!("DELETE")), "`DELETE`, not CREATE"),
        (set("/request/resource/resource", json!("services")), "not pods"),
        (set("/request/object", Value::Null), "request.object is no map"),
        (set("/request/object/kind", json!("a\nb")), "/kind is `a\\nb`, not Pod"),
        ("{\"a\": 1, \"a\": 2}".to_owned(), "a key comes twice"),
    ];
    for (text, words) in table {
        let error = refused(text.as_bytes()).to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut eviction = review_of(&pod());
    eviction["request"]["subResource"] = json!("eviction");
    assert!(refused(eviction.to_string().as_bytes()).to_string().contains("`eviction`"));
}

#[test]
fn reviews_at_the_caps_and_one_beyond() {
    let padded = |bytes: usize| {
        let mut text = review_of(&pod()).to_string();
        text.push_str(&" ".repeat(bytes - text.len()));
        text
    };
    let at_cap = padded(MAX_REVIEW_BYTES);
    assert!(review(at_cap.as_bytes(), Mode::Enabled, &Install::default()).is_ok());
    assert_eq!(refused(padded(MAX_REVIEW_BYTES + 1).as_bytes()), Malformed::TooLong);

    // Review, request, object and spec are four levels themselves.
    let nested = |depth: usize| {
        let mut inner = json!(0);
        for _ in 0..depth {
            inner = json!([inner]);
        }
        let mut pod = pod();
        pod["spec"]["x"] = inner;
        review_of(&pod).to_string()
    };
    let deepest = nested(MAX_REVIEW_DEPTH - 4);
    assert!(review(deepest.as_bytes(), Mode::Enabled, &Install::default()).is_ok());
    let error = refused(nested(MAX_REVIEW_DEPTH - 3).as_bytes()).to_string();
    assert!(error.contains("nested more than 64 deep"), "{error}");
}

#[test]
fn values_at_the_cap_and_one_beyond() {
    let mut pod = pod();
    pod["spec"]["x"] = json!([]);
    let others = review_of(&pod).to_string();
    let others = MAX_REVIEW_VALUES - count(&serde_json::from_str(&others).expect("JSON"));
    pod["spec"]["x"] = vec![0; others].into();
    let text = review_of(&pod).to_string();
    assert!(review(text.as_bytes(), Mode::Enabled, &Install::default()).is_ok());
    pod["spec"]["x"] = vec![0; others + 1].into();
    let error = refused(review_of(&pod).to_string().as_bytes()).to_string();
    assert!(error.contains("more than 200000 values"), "{error}");
}

fn count(value: &Value) -> usize {
    let mut all = Vec::new();
    places(value, "", &mut all);
    all.len()
}

/// Any JSON at any place of a review.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z~/]{0,4}", inner, 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Every pointer into a value.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
}

fn full_pod() -> Value {
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({"remora.dev/cpu-limit": "1", "a/b": "c"});
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1", "controller": true}]);
    pod["spec"]["hostNetwork"] = json!(false);
    pod["spec"]["os"] = json!({"name": "linux"});
    pod["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "linux"});
    pod["spec"]["volumes"] = json!([{"name": "a"}]);
    pod["spec"]["initContainers"] =
        json!([{"name": "first", "lifecycle": {"preStop": {"httpGet": {"port": 1}}}}]);
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": "web"}});
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "name": "web"}]);
    pod
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_value_at_any_place_is_a_panic(place in any::<prop::sample::Index>(), value in value(), enforced in any::<bool>()) {
        let mut review = review_of(&full_pod());
        let mut all = Vec::new();
        places(&review, "", &mut all);
        *review.pointer_mut(place.get(all.as_slice()).as_str()).expect("a place") = value;
        let mode = if enforced { Mode::Enforced } else { Mode::Enabled };
        fuzz(review.to_string().as_bytes(), mode);
    }

    #[test]
    fn no_bytes_are_a_panic(cut in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..8)) {
        let mut text = review_of(&full_pod()).to_string().into_bytes();
        let at = cut.index(text.len());
        text.splice(at..(at + bytes.len()).min(text.len()), bytes);
        let _ = review(&text, Mode::Enforced, &Install::default());
        let _ = review(&text[..at], Mode::Enforced, &Install::default());
    }
}

/// The seeds of the fuzz target `review`, which this keeps true to what an API server sends.
#[test]
fn the_corpus_of_the_fuzz_target_is_taken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/review");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(review(&bytes, Mode::Enforced, &Install::default()).is_ok());
        fuzz(&bytes, Mode::Enabled);
        fuzz(&bytes, Mode::Enforced);
        count += 1;
    }
    assert!(count >= 2, "{count} seeds");
}
