//! System packages: which are needed, which are missing, how they get here.

#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::cargo;

/// A Debian package, by a program of it that is run.
struct Package {
    name: &'static str,
    program: &'static str,
    purpose: &'static str,
}

const PACKAGES: [Package; 3] = [
    Package {
        name: "memcached",
        program: "memcached",
        purpose: "the real server of the demo and of the effects tests",
    },
    Package {
        name: "iptables",
        program: "iptables-restore",
        purpose: "with which remora-init redirects a pod's traffic",
    },
    Package {
        name: "iproute2",
        program: "ip",
        purpose: "with which network namespaces are joined to each other",
    },
];

/// Where root's programs lie, which a plain user's PATH may leave out.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Something that is needed is not here and cannot be brought.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

impl Missing {
    /// Something other than a package: says what, and the remedy.
    pub(crate) fn other(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// Installs what is missing, and says so.
///
/// # Errors
/// [`Missing`], with the command to run, where that takes another user or
/// another system.
pub(crate) fn run() -> Result<()> {
    let path = cargo::search_path().unwrap_or_default();
    let missing = missing(&path);
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} ({}), {}", package.program, package.name, package.purpose);
    }
    let apt = find("apt-get", &path);
    if let (Some(apt), true) = (apt, is_root()) {
        install(&apt, &missing)?;
    }
    let missing = self::missing(&path);
    if missing.is_empty() { Ok(()) } else { Err(remedy(&missing).into()) }
}

fn missing(path: &OsStr) -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| find(package.program, path).is_none()).collect()
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

/// Package lists may be absent, as in a container's image, or too old: they
/// are only fetched once an install has failed.
fn install(apt: &Path, packages: &[&Package]) -> Result<()> {
    let attempt = || {
        let mut command = Command::new(apt);
        command
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages.iter().map(|package| package.name))
            .env("DEBIAN_FRONTEND", "noninteractive");
        println!("+ {}", cargo::show(&command));
        cargo::check(&mut command)
    };
    if attempt().is_ok() {
        return Ok(());
    }
    let mut update = Command::new(apt);
    update.arg("update");
    println!("+ {}", cargo::show(&update));
    cargo::check(&mut update)?;
    attempt()
}

fn remedy(missing: &[&Package]) -> Missing {
    let programs: Vec<_> = missing.iter().map(|package| package.program).collect();
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    Missing(format!(
        "cannot install {} without root and apt-get. On Debian or Ubuntu run\n\n    \
         sudo apt-get update && sudo apt-get install --no-install-recommends {}\n\n\
         elsewhere, install the packages of your system that hold these programs",
        programs.join(", "),
        names.join(" ")
    ))
}
