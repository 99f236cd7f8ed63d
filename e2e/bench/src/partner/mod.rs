//! Partners: whoever is measured, each behind an adapter, a small script that
//! says what it is and how it is started. `partners/README.md` is the protocol.

mod about;
mod command;
mod runner;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use remora_injector::INBOUND_PORT;

pub(crate) use about::{About, Mode, Protocol};
pub(crate) use command::CommandLine;
pub(crate) use runner::{Runner, SMALL, joined};

use crate::results::{DIRECT, Participant};

/// Somebody who is measured.
#[derive(Debug)]
pub(crate) struct Partner {
    /// The adapter's file name, or [`DIRECT`].
    pub(crate) name: String,
    pub(crate) about: About,
    adapter: PathBuf,
}

impl Partner {
    /// No proxy, which needs no adapter.
    pub(crate) fn direct() -> Self {
        let about = About {
            title: "direct, without a proxy".to_owned(),
            mode: Mode::None,
            protocols: Protocol::ALL.to_vec(),
            version: String::new(),
            port: None,
            missing: None,
        };
        Self { name: DIRECT.to_owned(), about, adapter: PathBuf::new() }
    }

    /// All adapters of a folder by name, after the direct connection. What is
    /// not executable is no adapter.
    pub(crate) fn all(folder: &Path, programs: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder)
            .with_context(|| format!("looking for adapters in {}", folder.display()))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| is_executable(file));
        files.sort();
        let mut partners = vec![Self::direct()];
        for file in files {
            partners.push(Self::ask(&file, programs)?);
        }
        Ok(partners)
    }

    fn ask(adapter: &Path, programs: &Path) -> Result<Self> {
        let name = adapter.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = call(Command::new(adapter).arg("about").env("BENCH_PROGRAMS", programs))?;
        let about = About::read(&said)
            .with_context(|| format!("what {} says of itself", adapter.display()))?;
        Ok(Self { name, about, adapter: adapter.to_owned() })
    }

    /// How to start it, after the adapter has prepared what it needs.
    pub(crate) fn command(&self, environment: &[(&str, String)]) -> Result<CommandLine> {
        let mut command = Command::new(&self.adapter);
        command.arg("command").envs(environment.iter().map(|(name, value)| (name, value)));
        CommandLine::read(&call(&mut command)?)
            .with_context(|| format!("what {} says to run", self.adapter.display()))
    }

    /// Where its redirected connections arrive.
    pub(crate) fn port(&self) -> u16 {
        self.about.port.unwrap_or(INBOUND_PORT)
    }

    /// Whether it is there, and carries this.
    pub(crate) fn carries(&self, protocol: Protocol) -> bool {
        self.about.missing.is_none() && self.about.protocols.contains(&protocol)
    }

    /// For the report.
    pub(crate) fn participant(&self) -> Participant {
        Participant {
            name: self.name.clone(),
            title: self.about.title.clone(),
            mode: self.about.mode.name(),
            version: self.about.version.clone(),
            missing: self.about.missing.clone(),
        }
    }
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Runs an adapter; returns what it printed.
fn call(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(
        output.status.success(),
        "{} failed ({}): {}",
        command.get_program().to_string_lossy(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    String::from_utf8(output.stdout).context("an adapter prints text")
}
