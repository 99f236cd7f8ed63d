//! What the demo needs of this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use remora_netns::preflight;

/// Where a distribution keeps its programs; daemons are not on everybody's `PATH`.
const PROGRAM_DIRS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Something is missing; says how to get it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Missing(String);

/// The programs that the demo starts.
#[derive(Debug)]
pub(super) struct Programs {
    /// This very program, which is also the droid.
    pub(super) remora: PathBuf,
    /// The directory with the programs of this build.
    pub(super) bin: PathBuf,
}

/// Finds everything before anything is started.
pub(super) fn check() -> Result<Programs> {
    preflight().map_err(|error| Missing(error.to_string()))?;
    for (program, package) in [("memcached", "memcached"), ("iptables-restore", "iptables")] {
        if !PROGRAM_DIRS.iter().any(|directory| Path::new(directory).join(program).is_file()) {
            return Err(Missing(format!("`{program}` is not installed: `apt-get install {package}`")).into());
        }
    }
    let remora = std::env::current_exe().context("find the running program")?;
    let bin = remora.parent().context("find the directory of the running program")?.to_owned();
    for program in ["remora-agent", "remora-sidecar", "remora-init", "remora-shim"] {
        if !bin.join(program).is_file() {
            return Err(Missing(format!(
                "`{program}` is not in {}: `cargo xtask demo` builds it",
                bin.display()
            ))
            .into());
        }
    }
    Ok(Programs { remora, bin })
}
