//! What can be wrong with certificates, and what to do about it.

use std::io;

/// Why a certificate, a key or a bundle cannot be used. Says where it is from;
/// never shows a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{origin}: {error}; see that the bundle of the agent's CA is mounted there")]
    Read {
        /// The file.
        origin: String,
        /// Why.
        error: io::Error,
    },
    /// The text is no PEM, or holds nothing of what is wanted, or too much.
    #[error("{origin}: {problem}; put back what the agent wrote")]
    Content {
        /// The file, or the field of the object that it stands in.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// A certificate or a configuration cannot be made. A bug, or a clock that is far off.
    #[error("making {what}: {problem}; see that the system's clock is right")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Why it was not.
        problem: String,
    },
}

impl Error {
    pub(crate) fn content(origin: &str, problem: impl Into<String>) -> Self {
        Self::Content { origin: origin.to_owned(), problem: problem.into() }
    }

    pub(crate) fn make(what: &'static str, problem: &dyn std::fmt::Display) -> Self {
        Self::Make { what, problem: problem.to_string() }
    }
}
