//! An AdmissionReview of `admission.k8s.io/v1` as far as it is our concern.

use serde_json::Value;

use super::{Malformed, json};

/// The longest uid that is answered; the API server's have 36 characters.
const MAX_UID_BYTES: usize = 128;

/// A pod that somebody is about to create.
#[derive(Debug)]
pub(super) struct Request {
    /// By which the answer is known.
    pub(super) uid: String,
    /// Where the pod is to be.
    pub(super) namespace: String,
    /// Nothing is kept of it, and so nothing may be told of it.
    pub(super) is_dry_run: bool,
    /// The pod, with every field that it came with.
    pub(super) pod: Value,
}

impl Request {
    /// Reads a review. The webhook is registered for creations of pods: anything else comes
    /// from somebody who is not the API server, or from a registration that is wrong.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut review = json::read(bytes)?;
        expect(&review, "/apiVersion", "admission.k8s.io/v1")?;
        expect(&review, "/kind", "AdmissionReview")?;
        expect(&review, "/request/operation", "CREATE")?;
        expect(&review, "/request/resource/group", "")?;
        expect(&review, "/request/resource/version", "v1")?;
        expect(&review, "/request/resource/resource", "pods")?;
        if let Some(sub) = text(&review, "/request/subResource").filter(|sub| !sub.is_empty()) {
            let found = format!("`{}`", sub.escape_debug());
            return Err(Malformed::Field { field: "request.subResource", found, wanted: "none" });
        }
        let uid = text(&review, "/request/uid").unwrap_or_default().to_owned();
        if uid.is_empty() || uid.len() > MAX_UID_BYTES {
            let found = format!("{} bytes", uid.len());
            return Err(Malformed::Field { field: "request.uid", found, wanted: "an id" });
        }
        let namespace = text(&review, "/request/namespace").unwrap_or_default().to_owned();
        let is_dry_run = review.pointer("/request/dryRun") == Some(&Value::Bool(true));
        let pod = review.pointer_mut("/request/object").map(Value::take).unwrap_or_default();
        if !pod.is_object() {
            let found = "no map".to_owned();
            return Err(Malformed::Field { field: "request.object", found, wanted: "a Pod" });
        }
        expect(&pod, "/apiVersion", "v1")?;
        expect(&pod, "/kind", "Pod")?;
        Ok(Self { uid, namespace, is_dry_run, pod })
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn expect(value: &Value, pointer: &'static str, wanted: &'static str) -> Result<(), Malformed> {
    match text(value, pointer) {
        Some(found) if found == wanted => Ok(()),
        found => {
            let found = found.map_or("no text".to_owned(), |found| {
                let short: String = found.chars().take(64).collect();
                format!("`{}`", short.escape_debug())
            });
            Err(Malformed::Field { field: pointer, found, wanted })
        }
    }
}
