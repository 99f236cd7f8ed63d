//! The second memcached, newer than the distribution's, that the effects test
//! also asks.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{
    cargo,
    setup::{self, Missing},
};

/// What names the program to the effects test. Whoever has built one sets it.
pub(crate) const VARIABLE: &str = "REMORA_MEMCACHED_2";

/// The program; brought into the folder of built things once, if it is not
/// there.
///
/// # Errors
/// [`Missing`], with the remedy, where it cannot be brought.
pub(crate) fn memcached() -> Result<PathBuf> {
    if let Some(own) = cargo::variable(VARIABLE) {
        return Ok(own.into());
    }
    let folder = cargo::target()?.join("newer-memcached");
    let program = folder.join("memcached");
    if !runs(&program) {
        println!(
            "missing: memcached 1.6.40 or newer, for the effects test: unpacking that of Debian's \
             testing suite into {} (about 6 MB)",
            folder.display()
        );
        let mut script = Command::new(cargo::root().join("e2e/servers/newer-memcached"));
        setup::bring(script.arg(&folder), remedy)?;
    }
    Ok(program)
}

fn runs(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn remedy(said: &str) -> Missing {
    Missing::other(format!(
        "no memcached 1.6.40 or newer can be had from Debian's mirror:\n\n{}\n\nBuild one \
         (https://memcached.org/downloads) and run\n\n    {VARIABLE}=/path/to/memcached cargo \
         xtask test",
        said.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_start_does_not_run() {
        assert!(!runs(Path::new("/no/such/program")));
        assert!(!runs(Path::new("/bin/false")));
    }

    #[test]
    fn the_remedy_tells_the_cause_and_the_variable() {
        let text = remedy("newer-memcached: apt knows no Debian mirror\n").to_string();
        assert!(text.contains("no Debian mirror") && text.contains(VARIABLE), "{text}");
    }
}
