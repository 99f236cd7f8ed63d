//! Admission of pods: a review's bytes in, the answer's out. Pure: no clock, no socket, and
//! nothing is asked of anybody.
//!
//! ```text
//! bytes ─json▶ value ─request▶ pod ─choice▶ skip, refuse or ─inject▶ pod' ─diff▶ patch
//! ```
//!
//! Whoever sends what is no review is told so ([`Malformed`]); a pod that cannot be is
//! answered `allowed: false` with a sentence; only what is our own fault is neither.

// Reviews come from the network: nothing may index, cast or unwrap.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod answer;
mod choice;
mod fuzz;
mod idle;
mod install;
mod json;
mod owner;
mod patch;
mod reason;
mod request;
mod state;
mod strict;

use remora_manifest::{Field, Node};
use serde_json::Value;

pub use self::answer::Answer;
pub use self::choice::{
    Fate, INJECT_LABEL, Mode, SYSTEM_NAMESPACES, Skip, Standing, fate, fate_of,
};
pub use self::fuzz::fuzz;
pub use self::install::{Ceiling, Install, Skips};
pub use self::json::{MAX_REVIEW_BYTES, MAX_REVIEW_DEPTH, MAX_REVIEW_VALUES};
pub use self::owner::{Owner, Story};
pub use self::patch::diff;
pub use self::reason::{Outcome, Reason};
use self::request::Request;
pub use self::state::State;
use crate::{INIT_CONTAINER, InjectError, SIDECAR_CONTAINER, inject, uninject};

/// Why bytes are no review of a pod's creation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`MAX_REVIEW_BYTES`].
    #[error("the review has more than {MAX_REVIEW_BYTES} bytes")]
    TooLong,
    /// No JSON, nested too deeply, or with a key that comes twice.
    #[error("the review is no JSON that is taken here: {0}")]
    NoJson(String),
    /// A field is not what it has to be.
    #[error("{field} is {found}, not {wanted}")]
    Field {
        /// Which.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
}

/// What a pod that is taken becomes.
struct Verdict {
    fate: Fate,
    pod: Value,
    warnings: Vec<String>,
}

/// Answers a review of a pod's creation in a namespace of this mode.
///
/// # Errors
/// The bytes are no such review.
pub fn review(bytes: &[u8], mode: Mode, install: &Install) -> Result<Answer, Malformed> {
    let request = Request::read(bytes)?;
    let answer = match judge(&request.pod, mode, install) {
        Ok(verdict) => Answer::allowed(&request, verdict),
        Err(error) => Answer::refused(&request, mode, &error),
    };
    Ok(answer)
}

/// The pod as it may be created.
fn judge(pod: &Value, mode: Mode, install: &Install) -> Result<Verdict, InjectError> {
    // What it says it carries does not count: ours is taken out and put in anew.
    let bare = uninject(pod)?;
    let tree = Node::from_json(&bare);
    let root = Field::root(&tree);
    let fate = fate(&root, mode)?;
    let mut warnings = Vec::new();
    if let Fate::Skip(skip) = fate {
        if skip != Skip::OptedOut && skip != Skip::Mirror {
            let because = skip.because();
            warnings.push(format!("this pod runs without Remora, because {because}"));
        }
        return Ok(Verdict { fate, pod: pod.clone(), warnings });
    }
    let mut injected = inject(&bare, &install.inject)?;
    install.ceiling.check(&injected)?;
    keep_defaults(pod, &mut injected);
    warnings.extend(idle::warnings(&root.require("metadata")?, install.inject.mode)?);
    let spec = root.require("spec")?;
    match mode {
        Mode::Enforced => {
            install.skips.check(&injected)?;
            strict::check(&spec)?;
            if choice::opts_out(&root.require("metadata")?)? {
                let label = INJECT_LABEL;
                warnings
                    .push(format!("{label}: disabled counts for nothing in an enforced namespace"));
            }
        }
        Mode::Enabled => warnings.extend(strict::cautions(&spec)?),
    }
    Ok(Verdict { fate, pod: injected, warnings })
}

/// Resources that a LimitRange gave our containers since we put them in: without them the API
/// server would refuse the pod. What we set ourselves stays ours.
fn keep_defaults(before: &Value, after: &mut Value) {
    for name in [INIT_CONTAINER, SIDECAR_CONTAINER] {
        let Some(old) = container(before, name) else { continue };
        for list in ["requests", "limits"] {
            for resource in ["cpu", "memory", "ephemeral-storage"] {
                let Some(amount) = old.pointer(&format!("/resources/{list}/{resource}")) else {
                    continue;
                };
                let amount = amount.clone();
                let Some(resources) = resources_mut(after, name, list) else { continue };
                resources.entry(resource.to_owned()).or_insert(amount);
            }
        }
    }
}

fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let containers = pod.pointer("/spec/initContainers")?.as_array()?;
    containers.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
}

fn resources_mut<'a>(
    pod: &'a mut Value,
    name: &str,
    list: &str,
) -> Option<&'a mut serde_json::Map<String, Value>> {
    let containers = pod.pointer_mut("/spec/initContainers")?.as_array_mut()?;
    let is_it = |item: &&mut Value| item.get("name").and_then(Value::as_str) == Some(name);
    let resources = containers.iter_mut().find(is_it)?.get_mut("resources")?.as_object_mut()?;
    let list =
        resources.entry(list.to_owned()).or_insert_with(|| Value::Object(Default::default()));
    list.as_object_mut()
}
