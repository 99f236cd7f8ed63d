//! What can go wrong, each with the place where it did.

use std::io;

/// Why the harness could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine or the caller's rights do not suffice; says how to get them.
    #[error("{0}")]
    Preflight(String),
    /// A field of the manifest is wrong, or cannot be honoured by this harness.
    #[error("{field}: {problem}")]
    Field {
        /// Path of the field, such as `spec.containers[0].lifecycle`.
        field: String,
        /// What is wrong with it, and what to write instead.
        problem: String,
    },
    /// A container did not do what its manifest promises.
    #[error("pod {pod}, container {container}: {problem}{}", log_tail(log))]
    Container {
        /// `namespace/name` of the pod.
        pod: String,
        /// Name of the container.
        container: String,
        /// What happened.
        problem: String,
        /// What the container printed until then.
        log: String,
    },
    /// A command of the host failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// The operating system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// What the system answered.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// For `map_err`: says what was being done when the system refused.
    pub(crate) fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        |source| Self::Io { action, source: source.into() }
    }
}

/// The end of a container's log, on lines of its own.
fn log_tail(log: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LINES)..];
    if tail.is_empty() {
        "; its log is empty".into()
    } else {
        format!("; its log ends:\n{}", tail.join("\n"))
    }
}
