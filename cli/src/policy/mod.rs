//! `remora policy`: what policies say, without a cluster.

mod catalog;
mod explain;
mod import;
mod load;
mod miss;
mod pods;
mod validate;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};

use crate::policy_test;

/// A policy is refused, or a request denied.
const EX_REFUSED: u8 = 2;
/// A file cannot be read.
const EX_UNREADABLE: u8 = 3;

/// What can be done with policies.
#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Play byte transcripts through the real parser and policy.
    Test(policy_test::Args),
    /// Say whether policies can be enforced as they are written.
    Validate(validate::Args),
    /// Say what becomes of a request, by which rule, and why.
    Explain(explain::Args),
    /// Turn the JSON lists of `cilium policy import` into manifests.
    Import(import::Args),
}

/// How a command says what it has to say.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs one of them; what it has to say goes to `out`, errors to stderr.
pub(crate) fn run(command: &PolicyCommand, out: &mut dyn Write) -> ExitCode {
    match command {
        PolicyCommand::Test(args) => policy_test::run(args, out),
        PolicyCommand::Validate(args) => finish(validate::run(args, out)),
        PolicyCommand::Explain(args) => finish(explain::run(args, out)),
        PolicyCommand::Import(args) => finish(import::run(args, out)),
    }
}

fn finish(result: io::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("remora: writing the result: {error}");
        ExitCode::FAILURE
    })
}
