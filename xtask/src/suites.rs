//! Runs `cargo test`, times its suites and holds them to their budgets.

mod report;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, PipeReader},
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{cargo, newer};
pub(crate) use report::{Report, Suite};

/// What a suite may take: several times what it does take on two cores.
const BUDGET: Duration = Duration::from_secs(120);

/// Suites that drive real servers, or many namespaces, by their files.
const LONGER: [&str; 4] = ["tests/cassandra/", "tests/demo.rs", "tests/effects/", "tests/netns/"];
const LONGER_BUDGET: Duration = Duration::from_secs(300);

/// How much more time the long variants get.
const FULL: u32 = 10;

/// How often a suite's budget is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Runs all tests, or those whose name contains `filter`; those on real servers
/// with a second memcached too, and those of the chart with Helm.
pub(crate) fn run(
    full: bool,
    filter: Option<&str>,
    [second_memcached, helm]: [Option<&Path>; 2],
) -> Result<Report> {
    let mut command = cargo::command(&["test", "--locked", "--workspace", "--no-fail-fast"]);
    command.args(filter).env("CARGO_TERM_COLOR", "never");
    if full {
        command.env("REMORA_FULL", "1");
    }
    command.envs(second_memcached.map(|program| (newer::VARIABLE, program)));
    command.envs(helm.map(|program| (crate::helm::VARIABLE, program)));
    println!("== {}", cargo::show(&command));
    let (mut child, lines) = start(command)?;
    let mut watch = Watch { full, report: Report::default(), over: false };
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => {
                println!("{line}");
                watch.line(&line, Instant::now());
            }
            Err(RecvTimeoutError::Timeout) => watch.tick(&child, Instant::now()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().context("waiting for cargo test")?;
    Ok(watch.finish(status, Instant::now()))
}

/// Starts a command with both its outputs in one pipe, so that cargo's
/// headings stay in order with what the tests print.
fn start(mut command: Command) -> Result<(Child, Receiver<String>)> {
    let (reader, writer) = io::pipe().context("a pipe for cargo's output")?;
    command.stderr(writer.try_clone().context("a pipe for cargo's output")?).stdout(writer);
    let child = command.spawn().context("starting cargo test")?;
    // The command holds the pipe's writing end: with it gone, the pipe ends
    // when the tests do.
    drop(command);
    let (sender, lines) = mpsc::sync_channel(1024);
    thread::spawn(move || forward(reader, &sender));
    Ok((child, lines))
}

fn forward(reader: PipeReader, lines: &mpsc::SyncSender<String>) {
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

/// Follows cargo's output from suite to suite.
struct Watch {
    full: bool,
    report: Report,
    /// The suite under way has been stopped for taking too long.
    over: bool,
}

impl Watch {
    fn line(&mut self, line: &str, now: Instant) {
        if let Some(name) = heading(line, self.report.package()) {
            self.report.close(now);
            self.report.suites.push(Suite::new(name, now));
            self.over = false;
        } else if let (Some(suite), Some((passed, failed))) =
            (self.report.suites.last_mut(), result(line))
        {
            suite.passed += passed;
            suite.failed += failed;
            suite.answered = true;
        }
    }

    fn tick(&mut self, cargo: &Child, now: Instant) {
        let Some(suite) = self.report.suites.last_mut() else { return };
        let budget = budget(&suite.name, self.full);
        if self.over || now.duration_since(suite.begin) <= budget {
            return;
        }
        self.over = true;
        suite.late = true;
        println!("== {} took longer than {} s: stopping it", suite.name, budget.as_secs());
        terminate_children(cargo.id());
    }

    fn finish(mut self, status: ExitStatus, now: Instant) -> Report {
        self.report.close(now);
        self.report.cargo_failed = !status.success();
        self.report
    }
}

/// What a suite may take.
fn budget(name: &str, full: bool) -> Duration {
    let longer = LONGER.iter().any(|file| name.contains(file));
    let budget = if longer { LONGER_BUDGET } else { BUDGET };
    if full { budget * FULL } else { budget }
}

/// The name of the suite that cargo's line announces. Cargo names a folder's
/// test only by its file, so the package is the one that was announced last.
fn heading(line: &str, package: Option<&str>) -> Option<String> {
    let line = line.trim_start();
    if let Some(package) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{package} (examples)"));
    }
    let (what, program) = line.strip_prefix("Running ")?.rsplit_once(" (")?;
    let (stem, _hash) = program.strip_suffix(')')?.rsplit_once('/')?.1.rsplit_once('-')?;
    Some(match (what.strip_prefix("unittests "), package) {
        (Some("src/lib.rs"), _) => stem.to_owned(),
        (Some(source), _) => format!("{stem} ({source})"),
        (None, Some(package)) => format!("{package} {what}"),
        (None, None) => what.to_owned(),
    })
}

/// How many tests passed and failed, from libtest's closing line.
fn result(line: &str) -> Option<(usize, usize)> {
    let counts = line.strip_prefix("test result: ")?;
    let count = |label: &str| {
        let (before, _) = counts.split_once(label)?;
        before.rsplit([' ', '.', ';']).find(|word| !word.is_empty())?.parse().ok()
    };
    Some((count(" passed")?, count(" failed")?))
}

/// Asks a process's children to end, by their ids. The standard library can
/// only kill, which would leave a test no time to take down what it set up.
fn terminate_children(parent: u32) {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    for thread in threads {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let ended = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", child]).status();
            if let Err(error) = ended {
                println!("cannot stop process {child}: {error}");
            }
        }
    }
}
