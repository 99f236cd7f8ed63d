//! The benchmark: brings the partners, builds as images are built, and runs it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    cargo, envoy, images,
    setup::{self, For, Missing},
    tasks::step,
};

/// What is measured, and where the report goes.
pub(crate) struct Options<'a> {
    pub(crate) quick: bool,
    pub(crate) only: &'a [String],
    pub(crate) partners: &'a [String],
    pub(crate) out: Option<&'a Path>,
    pub(crate) docs: bool,
}

/// Runs the benchmark; its exit code is that of the task.
pub(crate) fn run(options: &Options<'_>) -> Result<ExitCode> {
    if !setup::is_root() {
        return Err(Missing::other(
            "the benchmark makes network namespaces and needs root. Run\n\n    \
             sudo env \"PATH=$PATH\" cargo xtask bench",
        )
        .into());
    }
    step("system packages", || setup::run(For::Bench))?;
    let envoy = step("Envoy", || partner(options.quick))?;
    // What is measured is what goes into images; what measures is built alike.
    let programs = step("build what is measured", images::compile)?;
    step("build what measures", || {
        cargo::run(&[
            "build",
            "--locked",
            "--profile",
            "image",
            "--package",
            "remora-bench",
            "--package",
            "remora-netns",
        ])
    })?;
    let mut bench = command(options, &programs)?;
    if let Some(folder) = envoy {
        let own = cargo::variable("PATH").unwrap_or_default();
        let folders = std::iter::once(folder).chain(env::split_paths(&own));
        bench.env("PATH", env::join_paths(folders).context("a PATH with Envoy")?);
    }
    println!("== {}", cargo::show(&bench));
    let status = bench.status().context("starting the benchmark")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder with Envoy. The budget compares with it; a report names it as missing.
fn partner(quick: bool) -> Result<Option<PathBuf>> {
    match envoy::folder() {
        Err(missing) if !quick => {
            println!("note: {missing:#}\nThe report does without Envoy, and says so");
            Ok(None)
        }
        found => found,
    }
}

fn command(options: &Options<'_>, programs: &Path) -> Result<Command> {
    let sources = cargo::root().join("e2e/bench");
    let out = match options.out {
        Some(folder) => folder.to_owned(),
        None => cargo::target()?.join("bench"),
    };
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let mut bench = Command::new(cargo::target()?.join("image/remora-bench"));
    bench.arg("run").arg("--programs").arg(programs);
    bench.arg("--partners").arg(sources.join("partners")).arg("--out").arg(out);
    for name in options.only {
        bench.arg("--only").arg(name);
    }
    for name in options.partners {
        bench.arg("--partner").arg(name);
    }
    if options.quick {
        bench.arg("--quick");
        // Without all partners there is nothing to hold them to.
        if options.partners.is_empty() {
            bench.arg("--budget").arg(sources.join("budget.json"));
        }
    }
    if options.docs {
        bench.arg("--docs").arg(cargo::root().join("docs/sidecar-vs-node.md"));
    }
    Ok(bench)
}
