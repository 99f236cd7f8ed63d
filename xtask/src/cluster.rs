//! The suite on a real Kubernetes: brings one up, runs the tests, takes it down.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cargo, helm,
    images::{self, Image},
    setup::{self, Missing},
    tasks::step,
};

/// Small enough that addresses are used again within a test, and large enough
/// for the twenty clients of a rollout beside everything else.
const POD_RANGE: &str = "10.244.0.0/26";

/// How the suite is run.
pub(crate) struct Options<'a> {
    /// Leave the cluster up.
    pub(crate) keep: bool,
    /// Another cluster, which has the images already.
    pub(crate) kubeconfig: Option<&'a Path>,
    /// Only the tests whose name contains this.
    pub(crate) filter: Option<&'a str>,
}

/// A script of `e2e/cluster`.
pub(crate) fn script(name: &str) -> Command {
    Command::new(cargo::root().join("e2e/cluster").join(name))
}

/// Runs the suite; says whether it passed.
///
/// # Errors
/// There is no cluster to run it on, with the reason.
pub(crate) fn run(options: &Options<'_>) -> Result<bool> {
    if let Some(kubeconfig) = options.kubeconfig {
        return on_cluster_of_others(kubeconfig, options);
    }
    if !setup::is_root() {
        return Err(Missing::other(
            "a node needs root. Run\n\n    sudo env \"PATH=$PATH\" cargo xtask e2e-cluster\n\n\
             or name a cluster that has the images with --kubeconfig",
        )
        .into());
    }
    setup::run(setup::For::Demo)?;
    let outcome = on_own_cluster(options);
    if options.keep {
        println!("the cluster stays up; e2e/cluster/down takes it away");
    } else {
        step("cluster down", || cargo::check(&mut script("down")))?;
    }
    outcome
}

/// Leaves nothing of ours behind.
fn on_cluster_of_others(kubeconfig: &Path, options: &Options<'_>) -> Result<bool> {
    let kubeconfig = fs::canonicalize(kubeconfig)
        .with_context(|| format!("there is no kubeconfig {}", kubeconfig.display()))?;
    let kubectl = |args: &[&str]| {
        let mut kubectl = script("kubectl");
        kubectl.args(args).env("KUBECONFIG", &kubeconfig).current_dir(cargo::root());
        cargo::check(&mut kubectl)
    };
    kubectl(&["get", "--raw", "/readyz", "--request-timeout=10s"])
        .with_context(|| format!("the cluster of {} does not answer", kubeconfig.display()))?;
    let outcome = test(&kubeconfig, options.filter);
    if !options.keep {
        step("uninstall", || {
            kubectl(&["delete", "--ignore-not-found", "--recursive", "-f", "deploy"])
        })?;
    }
    outcome
}

fn on_own_cluster(options: &Options<'_>) -> Result<bool> {
    let kubeconfig = step("cluster up", up)?;
    let folder = cargo::target()?.join("images");
    let mut archives = step("images", || images::build(&folder))?;
    archives.extend(step("images of the tests", || test_images(&folder))?);
    step("load", || {
        cargo::check(script("load").args(archives.iter().map(|image| &image.archive)))
    })?;
    test(&kubeconfig, options.filter)
}

/// Brings the cluster up, and returns where its kubeconfig is.
fn up() -> Result<PathBuf> {
    let mut up = script("up");
    up.args(["--pod-cidr", POD_RANGE]).stderr(Stdio::inherit());
    let output = up.output().with_context(|| format!("starting {}", cargo::show(&up)))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().last() {
        Some(kubeconfig) if output.status.success() => Ok(PathBuf::from(kubeconfig)),
        _ => bail!("no cluster comes up here: see the lines above ({})", output.status),
    }
}

/// The images that only tests use: a real server, and the tests' own client
/// and apps, both with the libraries that they are linked with.
pub(crate) fn test_images(folder: &Path) -> Result<Vec<Image>> {
    let build = ["build", "--locked", "--workspace", "--bins", "--features", FEATURE];
    cargo::run(&build)?;
    let memcached = setup::program("memcached")
        .ok_or_else(|| Missing::other("memcached is not here: run cargo xtask setup"))?;
    let programs = cargo::programs()?;
    let user = ["--user", "11211:11211", "--libraries"];
    let images = vec![
        Image::new("remora-test/memcached:test", folder, &memcached, &user),
        Image::new("remora-test/app:test", folder, &programs.join("remora-test-app"), &user),
        Image::new("remora-test/remora:test", folder, &programs.join("remora"), &user),
    ];
    images.iter().try_for_each(Image::pack)?;
    Ok(images)
}

/// With it, the suite is built.
pub(crate) const FEATURE: &str = "remora-e2e/cluster";

/// One test at a time: they time things, and share the agent.
fn test(kubeconfig: &Path, filter: Option<&str>) -> Result<bool> {
    let mut tests = cargo::command(&["test", "--locked", "--workspace", "--features", FEATURE]);
    tests.args(["--test", "e2e-cluster", "--test", "cilium"]).args(filter);
    tests.args(["--", "--test-threads=1", "--nocapture"]);
    // Go has built the cluster: Cilium's own policies, a Go module, can be had.
    tests.env("REMORA_E2E_KUBECONFIG", kubeconfig).env("REMORA_CILIUM", "1");
    tests.env(helm::VARIABLE, helm::program()?);
    println!("== {}", cargo::show(&tests));
    let status = tests.status().context("starting cargo test")?;
    Ok(status.success())
}
