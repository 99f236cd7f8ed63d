//! System packages: which are needed, which are missing, how they get here.

#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::cargo;

/// A Debian package, by what of it is used.
struct Package {
    name: &'static str,
    part: Part,
    purpose: &'static str,
}

/// What of a package is used.
enum Part {
    Program(&'static str),
    /// A module of the system's Python.
    Module(&'static str),
}

/// The Python for which the system's packages install their modules.
const PYTHON: &str = "/usr/bin/python3";

/// Who needs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Demo,
    /// Whatever the demo needs, and more.
    Tests,
    /// Likewise.
    Bench,
}

/// What demo and tests need.
const PACKAGES: [Package; 3] = [
    Package {
        name: "memcached",
        part: Part::Program("memcached"),
        purpose: "the real server of the demo and of the effects tests",
    },
    Package {
        name: "iptables",
        part: Part::Program("iptables-restore"),
        purpose: "with which remora-init redirects a pod's traffic",
    },
    Package {
        name: "iproute2",
        part: Part::Program("ip"),
        purpose: "with which network namespaces are joined to each other",
    },
];

/// What the tests need besides: ordinary clients, and what runs Cassandra.
const CLIENTS: [Package; 5] = [
    Package {
        name: "libmemcached-tools",
        part: Part::Program("memccp"),
        purpose: "a client in C, with which sidecars are tested",
    },
    Package {
        name: "python3-pymemcache",
        part: Part::Module("pymemcache"),
        purpose: "a client in Python, likewise",
    },
    Package {
        name: "python3-pylibmc",
        part: Part::Module("pylibmc"),
        purpose: "another, likewise",
    },
    Package {
        name: "openjdk-17-jre-headless",
        part: Part::Program("java"),
        purpose: "which runs Cassandra",
    },
    Package { name: "maven", part: Part::Program("mvn"), purpose: "which brings Cassandra" },
];

/// What the benchmark needs besides.
const MEASURED: [Package; 2] = [
    Package {
        name: "redis-server",
        part: Part::Program("redis-server"),
        purpose: "a server of the benchmark",
    },
    Package { name: "haproxy", part: Part::Program("haproxy"), purpose: "a proxy to compare with" },
];

impl Package {
    fn is_there(&self, path: &OsStr) -> bool {
        match self.part {
            Part::Program(program) => find(program, path).is_some(),
            Part::Module(module) => is_module(module),
        }
    }

    fn part(&self) -> &'static str {
        match self.part {
            Part::Program(name) | Part::Module(name) => name,
        }
    }
}

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
pub(crate) fn run(who: For) -> Result<()> {
    let path = cargo::variable("PATH").unwrap_or_default();
    let missing = missing(who, &path);
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} ({}), {}", package.part(), package.name, package.purpose);
    }
    let apt = find("apt-get", &path);
    if let (Some(apt), true) = (apt, is_root()) {
        install(&apt, &missing)?;
    }
    let missing = self::missing(who, &path);
    if missing.is_empty() { Ok(()) } else { Err(remedy(&missing).into()) }
}

/// Runs what brings something that no package has. What it says is only of
/// interest if it fails: then `remedy` makes the error of it.
///
/// # Errors
/// It cannot be started; [`Missing`] if it fails.
pub(crate) fn bring(command: &mut Command, remedy: fn(&str) -> Missing) -> Result<()> {
    command.stdin(Stdio::null());
    let output = command.output().with_context(|| format!("starting {}", cargo::show(command)))?;
    if output.status.success() {
        return Ok(());
    }
    Err(remedy(&String::from_utf8_lossy(&output.stderr)).into())
}

/// Where a program lies that may not be in the PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    find(name, &cargo::variable("PATH").unwrap_or_default())
}

fn missing(who: For, path: &OsStr) -> Vec<&'static Package> {
    needed(who).filter(|package| !package.is_there(path)).collect()
}

fn needed(who: For) -> impl Iterator<Item = &'static Package> {
    let more: &[Package] = match who {
        For::Demo => &[],
        For::Tests => &CLIENTS,
        For::Bench => &MEASURED,
    };
    PACKAGES.iter().chain(more)
}

/// Asks Python itself where to look; the module is not run.
fn is_module(module: &str) -> bool {
    let script = "import sys, importlib.util as u; sys.exit(u.find_spec(sys.argv[1]) is None)";
    let status = Command::new(PYTHON).args(["-c", script, module]).status();
    status.is_ok_and(|status| status.success())
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
    let parts: Vec<_> = missing.iter().map(|package| package.part()).collect();
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    Missing(format!(
        "cannot install {} without root and apt-get. On Debian or Ubuntu run\n\n    \
         sudo apt-get update && sudo apt-get install --no-install-recommends {}\n\n\
         elsewhere, install the packages of your system that hold these",
        parts.join(", "),
        names.join(" ")
    ))
}
