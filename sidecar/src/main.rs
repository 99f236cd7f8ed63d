//! The binary of [`remora_sidecar`].

use std::process::ExitCode;

use clap::Parser as _;
use remora_parsers::Registry;
use remora_sidecar::command::{self, Arguments};

fn main() -> ExitCode {
    command::run(&Arguments::parse(), Registry::BUILT_IN)
}
