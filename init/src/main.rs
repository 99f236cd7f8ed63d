//! The init container of an injected pod: redirects its traffic to the sidecar.

use std::process::ExitCode;

use clap::Parser as _;
use remora_init::{Args, Pod};

fn main() -> ExitCode {
    let args = Args::parse();
    match Pod::here().run(&args) {
        Ok(outcome) => {
            for note in &outcome.notes {
                eprintln!("remora-init: {note}");
            }
            print!("{}", outcome.output);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("remora-init: {error}");
            ExitCode::from(error.cause.cause.exit_status())
        }
    }
}
