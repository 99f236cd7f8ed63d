//! `remora-bench`: what a proxy per pod costs, beside a proxy per node and
//! beside what users would run instead. `cargo xtask bench` builds and runs it.

mod args;
mod budget;
mod fleet;
mod footprint;
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
    };
    done.unwrap_or_else(|error| {
        eprintln!("remora-bench: {error:#}");
        ExitCode::FAILURE
    })
}
