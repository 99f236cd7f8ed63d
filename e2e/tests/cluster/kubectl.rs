//! kubectl, and waiting with a deadline for what it shows.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long a condition may take to come true on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at: each look may be a process.
const LOOK: Duration = Duration::from_millis(100);

/// kubectl on one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned() }
    }

    /// A command that waits no longer than this for an answer of the API server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/kubectl");
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What it prints, or what it complains about.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String, String> {
        finish(self.command(args).spawn().map_err(|error| error.to_string())?, args)
    }

    /// As [`Self::run`], with text on standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &str) -> Result<String, String> {
        finish(self.fed(args, input), args)
    }

    /// A process whose standard input holds `input` and has ended.
    pub(crate) fn fed(&self, args: &[&str], input: &str) -> Child {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("kubectl reads");
        drop(stdin);
        child
    }

    /// An object, or a list of them. None if it is not there.
    pub(crate) fn get(&self, args: &[&str]) -> Option<Value> {
        let args: Vec<_> = ["get"].iter().chain(args).chain(&["--output=json"]).copied().collect();
        let text = self.run(&args).ok()?;
        Some(serde_json::from_str(&text).expect("JSON from kubectl"))
    }

    /// Whether the API server answers.
    pub(crate) fn answers(&self) -> Result<(), String> {
        let asked = self.run(&["get", "--raw", "/readyz", "--request-timeout=10s"]);
        asked.map(drop).map_err(|error| {
            let file = self.kubeconfig.display();
            format!("the cluster of {file} does not answer: {error}")
        })
    }
}

fn finish(child: Child, args: &[&str]) -> Result<String, String> {
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&said).trim()))
}

/// Waits until `look` finds what is expected, and returns it.
///
/// # Panics
/// It does not come true in [`PATIENCE`]: with what was expected and what was
/// seen last.
pub(crate) fn eventually<T>(expected: &str, look: impl FnMut() -> Result<T, String>) -> T {
    within(PATIENCE, look)
        .unwrap_or_else(|seen| panic!("expected within {PATIENCE:?}: {expected}\nseen: {seen}"))
}

/// Waits until `look` finds what it looks for, or gives what it saw last.
pub(crate) fn within<T>(
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let deadline = Instant::now() + patience;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if Instant::now() >= deadline => return Err(seen),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// Ok if `holds`, or what was seen instead.
pub(crate) fn expect(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}
