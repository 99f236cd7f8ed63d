//! Why a manifest is not injected.

use remora_manifest::{FieldError, FieldPath, Node};

/// A refusal: prints as `FIELD: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}; {remedy}")]
pub struct InjectError {
    /// The field that stands in the way.
    pub field: FieldPath,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl InjectError {
    pub(crate) fn new(
        field: FieldPath,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { field, problem: problem.into(), remedy: remedy.into() }
    }

    /// The same refusal with the file and line of its field in the text that was read.
    pub fn located(self, document: &Node) -> FieldError {
        FieldError {
            location: document.locate(&self.field).clone(),
            path: self.field,
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}

impl From<FieldError> for InjectError {
    fn from(error: FieldError) -> Self {
        Self { field: error.path, problem: error.problem, remedy: error.remedy }
    }
}
