//! The Cassandra that tests and the demo's third story run, with its clients.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    cargo,
    setup::{self, Missing},
};

/// What names the folder to tests and demo. Whoever has installed one sets it.
pub(crate) const VARIABLE: &str = "REMORA_CASSANDRA";

/// The folder; brought beside the built things once, if it is not there.
///
/// # Errors
/// [`Missing`], with the remedy, where it cannot be brought.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(own) = cargo::variable(VARIABLE) {
        return Ok(own.into());
    }
    let folder = cargo::target()?.join("cassandra");
    if !is_there(&folder) {
        println!(
            "missing: Cassandra 5.0 and its clients: bringing them by Maven and pip into {} \
             (about 110 MB)",
            folder.display()
        );
    }
    // What is there already is quick, and may be of an older checkout.
    let mut script = Command::new(cargo::root().join("e2e/servers/cassandra/install"));
    setup::bring(script.arg(&folder), remedy)?;
    Ok(folder)
}

fn is_there(folder: &Path) -> bool {
    folder.join("lib").is_dir() && folder.join("python/bin/cqlsh").is_file()
}

fn remedy(said: &str) -> Missing {
    Missing::other(format!(
        "Cassandra 5.0 cannot be brought:\n\n{}\n\nBring it on a machine that can, by \
         e2e/servers/cassandra/install FOLDER, and run\n\n    {VARIABLE}=FOLDER cargo xtask test",
        said.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_it_is_not_there() {
        assert!(!is_there(Path::new("/no/such/folder")));
        assert!(!is_there(Path::new("/usr")));
    }

    #[test]
    fn the_remedy_tells_the_cause_and_the_variable() {
        let text = remedy("install: `mvn` is not installed\n").to_string();
        assert!(text.contains("mvn") && text.contains(VARIABLE), "{text}");
    }
}
