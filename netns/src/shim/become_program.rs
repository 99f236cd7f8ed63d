//! The second step: first process of its PID namespace, which builds the root,
//! gives up rights and becomes the program.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::spec::{Files, Spec};
use super::supervise::{join, unshare};
use super::{privileges, root};

/// Becomes the program, or says on standard output why not.
pub(super) fn run() -> ExitCode {
    // Closed by a successful exec, which is how the first step knows of it.
    let Ok(status) = io::stdout().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let Err(problem) = become_program();
    let _ = File::from(status).write_all(problem.as_bytes());
    ExitCode::FAILURE
}

fn become_program() -> Result<Infallible, String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
    let spec: Spec = serde_json::from_str(&line).map_err(|error| format!("no spec: {error}"))?;
    die_with_parent()?;
    let (stdout, stderr) = (append(&spec.stdout)?, append(&spec.stderr)?);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match &spec.files {
        Files::Host => {}
        Files::Join { pid } => join(&format!("/proc/{pid}/ns/mnt"), LinkNameSpaceType::Mount)?,
        Files::Root(root) => {
            unshare(UnshareFlags::NEWNS)?;
            root::build(root)?;
        }
    }
    if let Some(user) = &spec.user {
        privileges::give_up(user)?;
    }
    // A change of user cleared it.
    die_with_parent()?;
    let (program, args) = spec.argv.split_first().ok_or("there is no command to run")?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(spec.env)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    Err(format!("run {program}: {}", command.exec()))
}

/// Should the shim itself be killed, its process goes too.
fn die_with_parent() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("tie to the shim: {error}"))
}

fn append(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|error| format!("open {}: {error}", path.display()))
}
