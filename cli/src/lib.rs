//! The command `remora`, for people: what it takes, and where that is done.

mod cluster;
mod demo;
mod inject;
pub mod playback;
mod policy;
mod policy_test;

/// What the tests of transcripts share with `remora policy test`.
#[doc(hidden)]
pub mod testing {
    pub use crate::policy_test::{Stage, unmet};
}

use std::{ffi::OsString, io, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

/// A small L7 policy proxy for every pod.
#[derive(Parser)]
#[command(name = "remora", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job on this machine: real servers behind real sidecars.
    Demo(demo::Args),
    /// The demo's server of the r2d2 protocol.
    #[command(hide = true)]
    Droid(demo::droid::Args),
    /// Add the redirection and the sidecar to Pods.
    Inject(inject::InjectArgs),
    /// Take them out again.
    Uninject(inject::UninjectArgs),
    /// Look whether Remora works on a cluster, or could be installed there.
    Check(cluster::check::Args),
    /// Show how each pod of the labelled namespaces stands.
    Status(cluster::status::Args),
    /// Try policies without a cluster.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print the completions of a shell, to be sourced by it.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EX_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Droid(args) => demo::droid::run(&args),
        Command::Inject(args) => rewrite(|streams| args.run(streams)),
        Command::Uninject(args) => rewrite(|streams| args.run(streams)),
        Command::Check(args) => cluster::check::check(&args),
        Command::Status(args) => cluster::status::status(&args),
        Command::Policy(command) => policy::run(&command, &mut io::stdout()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "remora", &mut io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Runs a command that turns one manifest into another.
fn rewrite(
    run: impl FnOnce(&mut inject::Streams<'_>) -> Result<(), inject::ManifestError>,
) -> ExitCode {
    let (mut input, mut output, mut notes) = (io::stdin(), io::stdout(), io::stderr());
    let streams =
        &mut inject::Streams { input: &mut input, output: &mut output, notes: &mut notes };
    match run(streams) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remora: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

/// The status of a command line that is none (`sysexits.h`).
const EX_USAGE: u8 = 64;
