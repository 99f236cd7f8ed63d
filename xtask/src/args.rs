//! What can be asked for on the command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

/// The tasks that people and CI share.
///
/// Building needs Rust (rustup installs the pinned version by itself) and a C
/// toolchain for linking (Debian: build-essential). What else the demo and the
/// tests need, `setup` installs.
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
    /// Looks for the programs first and does nothing when all are there.
    /// Installing them takes root and apt-get; without either, prints the
    /// command that would do it and exits 2.
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
    /// Check format and lints
    Lint,
    /// Format all code
    Fmt,
    /// Write generated code anew, from the .proto files
    Gen,
}
