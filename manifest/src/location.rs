//! Where in which file a value was written.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, or none for a value that was never text.
    pub file: Option<Arc<Path>>,
    /// The line, counted from 1; 0 for a value that was never text.
    pub line: u32,
    /// The column in characters, counted from 1; 0 for a value that was never text.
    pub column: u32,
}

impl Location {
    /// The place of a value that was never text.
    pub const fn nowhere() -> Self {
        Self { file: None, line: 0, column: 0 }
    }

    /// `FILE:LINE`, for messages that name the field as well and need no column.
    pub fn file_and_line(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| {
            match &self.file {
                Some(file) => write!(f, "{}", file.display())?,
                None => f.write_str("<value>")?,
            }
            if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
        })
    }
}

/// `FILE:LINE:COLUMN`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file_and_line())?;
        if self.column > 0 { write!(f, ":{}", self.column) } else { Ok(()) }
    }
}
