//! The first step: namespaces, then parent of the process for its whole life.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::spec::{Files, Spec};

/// Runs what the first line of standard input says, and stays until its end.
pub(super) fn run() -> ExitCode {
    let mut line = String::new();
    let started = io::stdin()
        .read_line(&mut line)
        .map_err(|error| error.to_string())
        .and_then(|_| start(&line));
    let (mut child, pidfd) = match started {
        Ok(started) => started,
        Err(problem) => {
            report(&format!("error {}", problem.replace('\n', " ")));
            return ExitCode::FAILURE;
        }
    };
    report(&format!("pid {}", child.id()));
    obey(&pidfd);
    let code = match child.wait() {
        Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        Err(_) => 255,
    };
    report(&format!("exit {code}"));
    ExitCode::SUCCESS
}

/// One line to the owner. If it is gone, there is nobody to tell.
fn report(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Passes the owner's signals on until the process has ended, and kills it when
/// the owner is gone. A pidfd never names another process, even once this one
/// was reaped. One thread: after making a PID namespace there can be no second.
fn obey(pidfd: &OwnedFd) {
    let stdin = io::stdin();
    let (mut pending, mut chunk) = (Vec::new(), [0; 256]);
    loop {
        let mut events = [
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::new(&stdin, PollFlags::IN | PollFlags::HUP),
        ];
        if poll(&mut events, None).is_err() {
            continue;
        }
        if !events[0].revents().is_empty() {
            return;
        }
        match rustix::io::read(&stdin, &mut chunk) {
            Ok(0) => {
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
                return;
            }
            Ok(read) => pending.extend_from_slice(&chunk[..read]),
            Err(_) => {}
        }
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if let Some(signal) = signal_in(&line) {
                let _ = pidfd_send_signal(pidfd, signal);
            }
        }
    }
}

fn signal_in(line: &[u8]) -> Option<Signal> {
    let number = std::str::from_utf8(line).ok()?.trim_end().strip_prefix("SIGNAL ")?;
    number.parse().ok().and_then(Signal::from_named_raw)
}

/// Enters the namespaces and starts the second step in them. Its standard
/// output closes silently when it has become the program; before that, it says
/// what went wrong.
fn start(line: &str) -> Result<(Child, OwnedFd), String> {
    let spec: Spec = serde_json::from_str(line).map_err(|error| format!("no spec: {error}"))?;
    enter_namespaces(&spec)?;
    let errors = OpenOptions::new().create(true).append(true).open(&spec.stderr);
    let errors = errors.map_err(|error| format!("open {}: {error}", spec.stderr.display()))?;
    let program = std::env::current_exe().map_err(|error| format!("find the shim: {error}"))?;
    let mut child = Command::new(program)
        .arg("become")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("start the second step: {error}"))?;
    let pidfd = pid_of(&child).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let problem = hand_over(&mut child, line).unwrap_or_else(|error| error.to_string());
    match pidfd {
        Some(pidfd) if problem.is_empty() => Ok((child, pidfd)),
        _ => {
            let _ = child.kill();
            let _ = child.wait();
            Err(problem)
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn hand_over(child: &mut Child, line: &str) -> io::Result<String> {
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(line.as_bytes())?;
    }
    let mut problem = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut problem)?;
    }
    Ok(problem)
}

fn enter_namespaces(spec: &Spec) -> Result<(), String> {
    join(&spec.network, LinkNameSpaceType::Network)?;
    match &spec.files {
        Files::Host => unshare(UnshareFlags::NEWPID),
        Files::Root(root) => {
            unshare(UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)?;
            rustix::system::sethostname(root.hostname.as_bytes())
                .map_err(|error| format!("set the host name: {error}"))
        }
        Files::Join { pid } => {
            join(&format!("/proc/{pid}/ns/ipc"), LinkNameSpaceType::InterProcessCommunication)?;
            join(&format!("/proc/{pid}/ns/uts"), LinkNameSpaceType::HostNameAndNISDomainName)?;
            join(&format!("/proc/{pid}/ns/pid"), LinkNameSpaceType::ProcessID)
        }
    }
}

pub(super) fn join(path: &str, kind: LinkNameSpaceType) -> Result<(), String> {
    let file = File::open(path).map_err(|error| format!("open {path}: {error}"))?;
    move_into_link_name_space(file.as_fd(), Some(kind))
        .map_err(|error| format!("enter {path}: {error}"))
}

pub(super) fn unshare(namespaces: UnshareFlags) -> Result<(), String> {
    #[expect(deprecated, reason = "unsound only for CLONE_FILES; namespaces share no memory")]
    rustix::thread::unshare(namespaces).map_err(|error| format!("make namespaces: {error}"))
}
