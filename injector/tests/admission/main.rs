//! What a review of a pod's creation is answered.

mod bytes;
mod laws;
mod pods;
mod table;

use base64::Engine as _;
use remora_injector::admission::{Answer, Install, Mode, review};
use serde_json::{Value, json};

/// The review that an API server sends of a pod.
fn review_of(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "name": "cart-0", "dryRun": false, "object": pod,
            "userInfo": {"username": "luke"}, "oldObject": null, "options": null,
        },
    })
}

/// A pod that the strictest namespace takes.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "cart-0", "namespace": "shop", "labels": {"app": "cart"}},
        "spec": {
            "containers": [{
                "name": "app", "image": "shop/cart:1",
                "securityContext": {"capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// The same with one more field.
fn with(pointer: &str, value: Value) -> Value {
    let mut pod = pod();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let name = name.replace("~1", "/");
    let mut at = &mut pod;
    for step in parent.split('/').skip(1) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    at[name] = value;
    pod
}

fn answer(pod: &Value, mode: Mode) -> Answer {
    let bytes = review_of(pod).to_string();
    review(bytes.as_bytes(), mode, &Install::default()).expect("a review")
}

fn response(answer: &Answer) -> &Value {
    &answer.review["response"]
}

/// The sentence of a refusal.
fn refusal(pod: &Value, mode: Mode) -> String {
    let answer = answer(pod, mode);
    assert_eq!(response(&answer)["allowed"], false, "{pod}");
    response(&answer)["status"]["message"].as_str().expect("a sentence").to_owned()
}

/// The pod as the API server goes on with it: the patch applied as it does that.
fn created(pod: &Value, answer: &Answer) -> Value {
    let response = response(answer);
    assert_eq!(response["allowed"], true, "{response}");
    let mut pod = pod.clone();
    if let Some(patch) = response["patch"].as_str() {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = base64::engine::general_purpose::STANDARD.decode(patch).expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
        json_patch::patch(&mut pod, &patch).expect("a patch that applies");
    }
    pod
}
