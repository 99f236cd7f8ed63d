//! The body of the fuzz target `review`, which tests run too.

use serde_json::Value;

use super::{Install, Mode, Request, choice, diff, judge, review};
use crate::{InjectConfig, ProxyMode};

/// Answers a review, and where it was taken asks again with what became of the pod; of an
/// installation with sidecars, and of one with a proxy on each node.
///
/// # Panics
/// A bug: a pod that was taken is not taken again, or changes once more.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], mode: Mode) {
    for proxy in [ProxyMode::Sidecar, ProxyMode::Node] {
        let inject = InjectConfig { mode: proxy, ..InjectConfig::default() };
        twice(bytes, mode, &Install { inject, ..Install::default() });
    }
}

#[allow(clippy::panic, reason = "that is how a fuzzer hears of it")]
fn twice(bytes: &[u8], mode: Mode, config: &Install) {
    let _ = review(bytes, mode, config);
    let Ok(request) = Request::read(bytes) else { return };
    let Ok(verdict) = judge(&request.pod, mode, config) else { return };
    let again = judge(&verdict.pod, mode, config);
    let Ok(again) = again else { panic!("taken once, refused then: {}", request.pod) };
    assert_eq!(diff(&verdict.pod, &again.pod), Vec::<Value>::new(), "{}", request.pod);
    assert_eq!(choice::fate_of(&verdict.pod, mode), verdict.fate, "{}", request.pod);
}
