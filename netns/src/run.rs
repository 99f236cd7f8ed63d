//! Processes under a shim: started, signalled, waited for.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::shim::Spec;
use crate::{Error, Result};

/// How often a condition outside this process is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The line to a running process. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Control {
    /// The process id, as the host sees it.
    pub(crate) pid: i32,
    stdin: ChildStdin,
}

impl Control {
    /// Sends a signal; one that has ended already takes no notice.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let _ = writeln!(self.stdin, "SIGNAL {}", signal.as_raw());
    }
}

/// The end of a running process, which somebody has to wait for.
#[derive(Debug)]
pub(crate) struct Ending {
    shim: Child,
    lines: BufReader<ChildStdout>,
}

impl Ending {
    /// The exit code, 128 and the signal's number for one that was killed.
    pub(crate) fn wait(mut self) -> i32 {
        let code =
            read_line(&mut self.lines).strip_prefix("exit ").and_then(|code| code.parse().ok());
        let _ = self.shim.wait();
        // Without an exit line the shim itself was killed, and its process with it.
        code.unwrap_or(137)
    }
}

/// Starts a process; returns once its program runs, or says why it does not.
pub(crate) fn launch(shim: &Path, spec: &Spec) -> Result<(Control, Ending), String> {
    let mut child = Command::new(shim)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // An interrupt at the terminal is for the owner, who takes us down in order.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("run {}: {error}", shim.display()))?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the shim has no pipes".into());
    };
    let mut lines = BufReader::new(stdout);
    let text = serde_json::to_string(spec).map_err(|error| error.to_string())?;
    let answer = match writeln!(stdin, "{text}") {
        Ok(()) => read_line(&mut lines),
        Err(error) => format!("error {error}"),
    };
    match answer.strip_prefix("pid ").and_then(|pid| pid.parse().ok()) {
        Some(pid) => Ok((Control { pid, stdin }, Ending { shim: child, lines })),
        None => {
            drop(stdin);
            let _ = child.wait();
            Err(answer.strip_prefix("error ").unwrap_or("the shim ended without a word").to_owned())
        }
    }
}

fn read_line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    // A broken pipe reads as an empty line, which no caller takes for an answer.
    let _ = lines.read_line(&mut line);
    line.trim_end().to_owned()
}

/// What a command printed, and its exit code.
#[derive(Debug, Clone)]
pub struct Output {
    /// 0 for success; 128 and the signal's number if it was killed.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a process to its end; one that is still running at the deadline is killed.
pub(crate) fn run_to_end(shim: &Path, spec: &Spec, limit: Duration) -> Result<Output, String> {
    let (control, ending) = launch(shim, spec)?;
    let (done, timer) = std::sync::mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        let late = timer.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        drop(control);
        late
    });
    let code = ending.wait();
    drop(done);
    if guard.join().unwrap_or(false) {
        return Err(format!("{} was still running after {limit:?}", spec.argv.join(" ")));
    }
    Ok(Output { code, stdout: read_text(&spec.stdout), stderr: read_text(&spec.stderr) })
}

/// A file's text, as far as it is text; empty if it is not there yet.
pub(crate) fn read_text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Waits until the text of `log` satisfies `wanted`; the text, or `None` at the deadline.
pub(crate) fn wait_text(
    log: &Path,
    wanted: impl Fn(&str) -> bool,
    limit: Duration,
) -> Option<String> {
    let deadline = Instant::now() + limit;
    loop {
        let text = read_text(log);
        if wanted(&text) {
            return Some(text);
        }
        if Instant::now() > deadline {
            return None;
        }
        sleep(POLL);
    }
}

/// Resident memory of a process in KiB, as `/proc/PID/status` counts it.
pub(crate) fn rss_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program of the host to start in a network that is not the host's.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Names its log among those of the node, so no two that run at once may share it.
    pub name: &'a str,
    /// The command line.
    pub argv: &'a [&'a str],
    /// The environment besides `PATH`.
    pub env: &'a [(&'a str, &'a str)],
    /// Uid and gid, without any capability; as the caller, with all its rights, if absent.
    pub uid: Option<u32>,
    /// Where standard output goes, if not into the log.
    pub stdout: Option<&'a Path>,
}

/// A program of the host that serves a node, such as the agent. Dropping it
/// kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: i32,
    log: PathBuf,
    control: Mutex<Option<Control>>,
    ended: Arc<(Mutex<Option<i32>>, Condvar)>,
    waiter: Option<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(name: &str, shim: &Path, spec: &Spec, log: &Path) -> Result<Self> {
        let (control, ending) = launch(shim, spec)
            .map_err(|problem| Error::Command { command: spec.argv.join(" "), output: problem })?;
        let ended = Arc::new((Mutex::new(None), Condvar::new()));
        let end = Arc::clone(&ended);
        let waiter = thread::spawn(move || {
            let code = ending.wait();
            *lock(&end.0) = Some(code);
            end.1.notify_all();
        });
        Ok(Self {
            name: name.to_owned(),
            pid: control.pid,
            log: log.to_owned(),
            control: Mutex::new(Some(control)),
            ended,
            waiter: Some(waiter),
        })
    }

    /// The process id, as the host sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(control) = lock(&self.control).as_mut() {
            control.signal(signal);
        }
    }

    /// What it printed so far, standard error included.
    pub fn logs(&self) -> String {
        read_text(&self.log)
    }

    /// Resident memory in KiB; `None` once it has ended.
    pub fn rss_kib(&self) -> Option<u64> {
        rss_kib(self.pid)
    }

    /// Waits until the log satisfies `wanted` and returns it.
    ///
    /// # Errors
    /// [`Error::Container`] with the log when `limit` has passed.
    pub fn wait_log(&self, wanted: impl Fn(&str) -> bool, limit: Duration) -> Result<String> {
        wait_text(&self.log, wanted, limit).ok_or_else(|| {
            self.failed(format!("its log did not say what was awaited within {limit:?}"))
        })
    }

    /// Waits for its end and returns the exit code.
    ///
    /// # Errors
    /// [`Error::Container`] with the log when it still runs after `limit`.
    pub fn wait(&self, limit: Duration) -> Result<i32> {
        let (code, changed) = &*self.ended;
        let (code, _) = changed
            .wait_timeout_while(lock(code), limit, |code| code.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        code.ok_or_else(|| self.failed(format!("it still runs after {limit:?}")))
    }

    fn failed(&self, problem: String) -> Error {
        Error::Container {
            pod: "of the node".into(),
            container: self.name.clone(),
            problem,
            log: self.logs(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(lock(&self.control).take());
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.join();
        }
    }
}
