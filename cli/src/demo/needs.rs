//! What the demo needs of this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use remora_netns::preflight;

/// Where a distribution keeps its programs; daemons are not on everybody's `PATH`.
const PROGRAM_DIRS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The distribution's programs that run in the pods, and the package of each.
const DISTRO: [(&str, &str); 3] = [
    ("memcached", "memcached"),
    ("iptables-restore", "iptables"),
    ("ip6tables-restore", "iptables"),
];

/// Remora's own programs.
const OWN: [&str; 4] = ["remora-agent", "remora-sidecar", "remora-init", "remora-shim"];

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
    /// What runs Cassandra, where that is asked for.
    pub(super) cassandra: Option<PathBuf>,
}

/// What names the folder with Cassandra.
const CASSANDRA: &str = "REMORA_CASSANDRA";

/// Finds everything before anything is started.
pub(super) fn check(with_cassandra: bool) -> Result<Programs> {
    preflight().map_err(|error| Missing(error.to_string()))?;
    installed(&PROGRAM_DIRS)?;
    let remora = std::env::current_exe().context("find the running program")?;
    let bin = remora.parent().context("find the directory of the running program")?.to_owned();
    built(&bin)?;
    let cassandra = if with_cassandra { Some(cassandra(&bin)?) } else { None };
    Ok(Programs { remora, bin, cassandra })
}

/// The folder that is named, or the one beside this build's programs.
fn cassandra(bin: &Path) -> Result<PathBuf, Missing> {
    let beside = || bin.with_file_name("cassandra");
    let folder = std::env::var_os(CASSANDRA).map_or_else(beside, PathBuf::from);
    if folder.join("start").is_file() && folder.join("lib").is_dir() {
        return Ok(folder);
    }
    let place = folder.display();
    Err(Missing(format!("no Cassandra in {place}: `cargo xtask demo --cassandra` brings it")))
}

/// The distribution's programs, in these directories.
pub(super) fn installed(directories: &[&str]) -> Result<(), Missing> {
    let lacks =
        |program: &str| !directories.iter().any(|dir| Path::new(dir).join(program).is_file());
    match DISTRO.iter().find(|(program, _)| lacks(program)) {
        Some((program, package)) => {
            Err(Missing(format!("`{program}` is not installed: `apt-get install {package}`")))
        }
        None => Ok(()),
    }
}

/// Remora's own programs, beside this one.
fn built(bin: &Path) -> Result<(), Missing> {
    match OWN.iter().find(|program| !bin.join(program).is_file()) {
        Some(program) => {
            let bin = bin.display();
            Err(Missing(format!("`{program}` is not in {bin}: `cargo xtask demo` builds it")))
        }
        None => Ok(()),
    }
}
