//! Why a manifest is not injected.

use remora_manifest::{Field, FieldError, FieldPath, Segment};

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

    /// The document is no map at all.
    pub(crate) fn no_map() -> Self {
        Self::new(FieldPath::root(), "is not a map", "write a map")
    }

    /// The same refusal with the file and line of its field, and with its path in the
    /// document that `object` was read from: an object may be an item of a List.
    pub fn located(self, object: &Field<'_>) -> FieldError {
        let step = |path: FieldPath, segment: &Segment| match segment {
            Segment::Key(name) => path.key(name),
            Segment::Index(index) => path.index(*index),
        };
        FieldError {
            location: object.node.locate(&self.field).clone(),
            path: self.field.segments().iter().fold(object.path.clone(), step),
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
