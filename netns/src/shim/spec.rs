//! What the owner tells the shim to run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One process to start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Path of the network namespace.
    pub(crate) network: String,
    pub(crate) files: Files,
    pub(crate) argv: Vec<String>,
    /// The whole environment, `PATH` included.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) working_dir: String,
    /// Absent: as the shim itself, with all its rights.
    pub(crate) user: Option<User>,
    /// Files that the output is appended to.
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

/// Which files the process sees.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Files {
    /// The host's own.
    Host,
    /// A root of its own.
    Root(Root),
    /// Those of the container whose first process has this id.
    Join { pid: i32 },
}

/// A container's root, built in its own mount namespace.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Root {
    /// An empty directory to build it on.
    pub(crate) at: PathBuf,
    /// Directories of the host, seen read-only at the same path.
    pub(crate) host_dirs: Vec<PathBuf>,
    /// Files of the image and volumes, outer mounts first.
    pub(crate) mounts: Vec<BindMount>,
    pub(crate) hostname: String,
    pub(crate) read_only: bool,
}

/// A file or directory of the host at a place in the container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BindMount {
    pub(crate) source: PathBuf,
    /// Absolute path in the container.
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

/// Whom the process runs as.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The capabilities left in the bounding set, `CAP_` included.
    pub(crate) capabilities: BTreeSet<String>,
    pub(crate) no_new_privileges: bool,
}

impl User {
    /// This uid and gid, and no capability.
    pub(crate) fn without_rights(id: u32) -> Self {
        Self { uid: id, gid: id, capabilities: BTreeSet::new(), no_new_privileges: true }
    }
}
