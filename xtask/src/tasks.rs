//! The tasks.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result};

use crate::{
    args::Task,
    cargo,
    setup::{self, Missing},
    suites,
};

/// The programs that the demo runs.
const DEMO: [&str; 5] =
    ["remora-cli", "remora-agent", "remora-sidecar", "remora-init", "remora-netns"];

/// Runs a task.
pub(crate) fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Setup => setup::run()?,
        Task::Demo { args } => demo(args)?,
        Task::Test { full, filter } => return test(*full, filter.as_deref()),
        Task::Lint => lint()?,
        Task::Fmt => cargo::run(&["fmt", "--all"])?,
        Task::Gen => generate()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the demo, so that its exit code and its signals are its own.
fn demo(args: &[OsString]) -> Result<()> {
    setup::run()?;
    let mut build = vec!["build", "--locked"];
    build.extend(DEMO.iter().flat_map(|package| ["--package", package]));
    cargo::run(&build)?;
    let remora = cargo::programs()?.join("remora");
    let error = Command::new(&remora).arg("demo").args(args).exec();
    Err(error).with_context(|| format!("starting {}", remora.display()))
}

fn test(full: bool, filter: Option<&str>) -> Result<ExitCode> {
    let begin = Instant::now();
    require_root(filter)?;
    step("system packages", setup::run)?;
    if filter.is_none() {
        step("format", format_check)?;
        step("lints", clippy)?;
    }
    // Programs and tests in one build: apart, each would unify the features of
    // shared dependencies differently, and build them twice.
    step("build", || cargo::run(&["build", "--locked", "--workspace", "--all-targets"]))?;
    let report = suites::run(full, filter)?;
    println!("\n{report}");
    println!("all of it took {:.1} s", begin.elapsed().as_secs_f64());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A whole run without root could not pass: better to hear it now. A part of
/// the tests may well do without.
fn require_root(filter: Option<&str>) -> Result<()> {
    if setup::is_root() {
        return Ok(());
    }
    let what = "the tests on network namespaces need root";
    if filter.is_some() {
        println!("note: {what}; you are not root, so those will fail");
        return Ok(());
    }
    Err(Missing::other(format!("{what}. Run\n\n    sudo env \"PATH=$PATH\" cargo xtask test"))
        .into())
}

fn lint() -> Result<()> {
    step("format", format_check)?;
    step("lints", clippy)
}

fn format_check() -> Result<()> {
    cargo::run(&["fmt", "--all", "--check"])
        .context("the code is not formatted: run `cargo xtask fmt`")
}

fn clippy() -> Result<()> {
    let args = ["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    cargo::run(&args)
}

fn generate() -> Result<()> {
    let args = ["test", "--locked", "--package", "remora-api", "--test", "generated"];
    cargo::check(cargo::command(&args).env("REMORA_UPDATE", "1"))
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let begin = Instant::now();
    work()?;
    println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}
