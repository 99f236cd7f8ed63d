//! The tasks.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result};

use crate::{
    args::Task,
    bench, cargo, cassandra, cluster, envoy, helm, images, new_parser,
    new_parser::Name,
    newer,
    setup::{self, For, Missing},
    suites,
};

/// The programs that the demo runs.
const DEMO: [&str; 5] =
    ["remora-cli", "remora-agent", "remora-sidecar", "remora-init", "remora-netns"];

/// Runs a task.
pub(crate) fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Setup => setup()?,
        Task::Demo { args } => demo(args)?,
        Task::Test { full, filter } => return test(*full, filter.as_deref()),
        Task::NewParser { name } => new_parser(name)?,
        Task::Lint => lint()?,
        Task::Fmt => cargo::run(&["fmt", "--all"])?,
        Task::Gen => generate()?,
        Task::Images { out, tests } => {
            let folder = folder(out.as_deref())?;
            images::build(&folder)?;
            if *tests {
                cluster::test_images(&folder)?;
            }
        }
        Task::Bench { quick, only, partner, out, docs } => {
            return bench::run(&bench::Options {
                quick: *quick,
                only,
                partners: partner,
                out: out.as_deref(),
                docs: *docs,
            });
        }
        Task::E2eCluster { keep, kubeconfig, filter } => {
            let options = cluster::Options {
                keep: *keep,
                kubeconfig: kubeconfig.as_deref(),
                filter: filter.as_deref(),
            };
            return Ok(if cluster::run(&options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where images go.
fn folder(out: Option<&Path>) -> Result<PathBuf> {
    Ok(match out {
        Some(folder) => folder.to_owned(),
        None => cargo::target()?.join("images"),
    })
}

/// Brings whatever any task needs.
fn setup() -> Result<()> {
    setup::run(For::Tests)?;
    setup::run(For::Bench)?;
    newer::memcached()?;
    envoy::folder()?;
    cassandra::home()?;
    helm::program().map(drop)
}

/// Becomes the demo, so that its exit code and its signals are its own.
fn demo(args: &[OsString]) -> Result<()> {
    setup::run(For::Demo)?;
    let mut build = vec!["build", "--locked"];
    build.extend(DEMO.iter().flat_map(|package| ["--package", package]));
    cargo::run(&build)?;
    let remora = cargo::programs()?.join("remora");
    let mut command = Command::new(&remora);
    if args.iter().any(|arg| arg == "--cassandra") {
        setup::run(For::Tests)?;
        command.env(cassandra::VARIABLE, cassandra::home()?);
    }
    let error = command.arg("demo").args(args).exec();
    Err(error).with_context(|| format!("starting {}", remora.display()))
}

fn test(full: bool, filter: Option<&str>) -> Result<ExitCode> {
    let begin = Instant::now();
    require_root(filter)?;
    step("system packages", || setup::run(For::Tests))?;
    let second = step("newer memcached", || second_memcached(filter))?;
    let helm = step("helm", || chart_tests(filter))?;
    step("Cassandra", || cassandra_home(filter))?;
    if filter.is_none() {
        step("format", format_check)?;
        step("lints", clippy)?;
    }
    // Programs and tests in one build: apart, each would unify the features of
    // shared dependencies differently, and build them twice.
    step("build", || cargo::run(&["build", "--locked", "--workspace", "--all-targets"]))?;
    let report = suites::run(full, filter, [second.as_deref(), helm.as_deref()])?;
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

/// As with root: only a whole run cannot do without.
fn second_memcached(filter: Option<&str>) -> Result<Option<PathBuf>> {
    match newer::memcached() {
        Ok(program) => Ok(Some(program)),
        Err(missing) if filter.is_some() => {
            println!("note: {missing}\nThe effects test runs without it");
            Ok(None)
        }
        Err(missing) => Err(missing),
    }
}

/// Likewise.
fn chart_tests(filter: Option<&str>) -> Result<Option<PathBuf>> {
    match helm::program() {
        Ok(program) => Ok(Some(program)),
        Err(missing) if filter.is_some() => {
            println!("note: {missing}\nThe tests of the chart fail without it");
            Ok(None)
        }
        Err(missing) => Err(missing),
    }
}

/// Likewise.
fn cassandra_home(filter: Option<&str>) -> Result<()> {
    match cassandra::home() {
        Err(missing) if filter.is_some() => println!("note: {missing}"),
        home => drop(home?),
    }
    Ok(())
}

fn new_parser(name: &Name) -> Result<()> {
    for path in new_parser::make(cargo::root(), name)? {
        println!("wrote {}", path.strip_prefix(cargo::root()).unwrap_or(&path).display());
    }
    cargo::run(&["fmt", "--package", "remora-parsers"])?;
    println!("{}", new_parser::next_steps(name));
    Ok(())
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
    let args = ["clippy", "--locked", "--workspace", "--all-targets", "--features"];
    cargo::check(cargo::command(&args).args([cluster::FEATURE, "--", "--deny", "warnings"]))
}

fn generate() -> Result<()> {
    let api = ["test", "--locked", "--package", "remora-api", "--test", "generated"];
    let crds = ["test", "--locked", "--package", "remora-agent", "--lib", "crd"];
    helm::program()?;
    let chart = ["test", "--locked", "--package", "remora-e2e", "--test", "chart"];
    [&api[..], &crds, &chart]
        .iter()
        .try_for_each(|args| cargo::check(cargo::command(args).env("REMORA_UPDATE", "1")))
}

/// Does a part of a task, with its name before and its time after.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let begin = Instant::now();
    let outcome = work()?;
    println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
    Ok(outcome)
}
