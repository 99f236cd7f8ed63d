//! `cargo xtask`: the tasks that people and CI share.

mod args;
mod bench;
mod cargo;
mod cassandra;
mod cluster;
mod envoy;
mod helm;
mod images;
mod new_parser;
mod newer;
mod setup;
mod suites;
mod tasks;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    tasks::run(&args.task).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        let missing = error.downcast_ref::<setup::Missing>().is_some();
        ExitCode::from(if missing { 2 } else { 1 })
    })
}
