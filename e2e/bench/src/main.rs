//! `remora-bench`: what a proxy per pod costs, beside a proxy per node and
//! beside what users would run instead. `cargo xtask bench` builds and runs it.

mod args;
mod budget;
mod certify;
mod fleet;
mod footprint;
mod isolation;
mod load;
mod machine;
mod partner;
mod process;
mod propagation;
mod report;
mod results;
mod run;
mod serve;
mod stage;
mod workload;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let done = match args::Arguments::parse().command {
        args::Command::Run(options) => run::run(&options),
        args::Command::Serve { port } => serve::run(port),
        args::Command::Certify { port, certificate } => certify::run(port, &certificate),
    };
    done.unwrap_or_else(|error| {
        eprintln!("remora-bench: {error:#}");
        ExitCode::FAILURE
    })
}
