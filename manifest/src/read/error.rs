//! Why a document cannot be read.

use std::path::Path;
use std::sync::Arc;

use saphyr_parser::ScanError;

use super::{MAX_BYTES, location};
use crate::Location;

/// A document that cannot be read: prints as `FILE:LINE:COLUMN: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {problem}; {remedy}")]
pub struct ReadError {
    /// Where reading stopped.
    pub location: Location,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl ReadError {
    pub(super) fn new(
        location: Location,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { location, problem: problem.into(), remedy: remedy.into() }
    }

    pub(super) fn too_long(file: &Arc<Path>) -> Self {
        let problem = format!("the text is longer than {MAX_BYTES} bytes");
        Self::new(location(file, 1, 1), problem, "split it into several files")
    }

    pub(super) fn syntax(file: &Arc<Path>, error: &ScanError) -> Self {
        let mark = error.marker();
        let info = error.info();
        let remedy = if info.contains("tab") {
            "indent with spaces"
        } else if info.contains("unknown anchor") {
            "define the anchor before it is used, in the same document"
        } else if info.contains("escape") {
            "escape a backslash as \\\\, and write characters beyond U+FFFF as they are"
        } else {
            "check the indentation, quotes and brackets here and just above"
        };
        let place = location(file, mark.line(), mark.col() + 1);
        Self::new(place, format!("not valid YAML: {info}"), remedy)
    }
}
