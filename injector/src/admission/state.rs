//! How a pod that is there stands: whether it has what its namespace asks for.

use serde_json::Value;

use super::choice::{Fate, Mode, Skip, fate_of};
use super::container;
use crate::{SIDECAR_CONTAINER, STATUS_ANNOTATION};

/// How a pod stands in a namespace with the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It has a sidecar of ours.
    Injected,
    /// It should have one, and has not: it was there before the label, or came while the webhook
    /// was away.
    Missed,
    /// It has none, and there is a reason.
    Skipped(Skip),
    /// It has ended, or is about to.
    Ended,
}

impl State {
    /// Of a pod as the API server holds it.
    #[must_use]
    pub fn of(pod: &Value, mode: Mode) -> Self {
        let phase = pod.pointer("/status/phase").and_then(Value::as_str);
        let is_leaving = pod.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
        if is_leaving || matches!(phase, Some("Succeeded" | "Failed")) {
            return Self::Ended;
        }
        let annotations = pod.pointer("/metadata/annotations");
        let has_status = annotations.and_then(|all| all.get(STATUS_ANNOTATION)).is_some();
        if has_status && container(pod, SIDECAR_CONTAINER).is_some() {
            return Self::Injected;
        }
        match fate_of(pod, mode) {
            Fate::Inject => Self::Missed,
            Fate::Skip(skip) => Self::Skipped(skip),
        }
    }

    /// Its word, which makes a good label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Missed => "missed",
            Self::Skipped(skip) => skip.word(),
            Self::Ended => "ended",
        }
    }
}
