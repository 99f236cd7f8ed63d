//! `remora-bench`: what a proxy per pod costs, beside a proxy per node and
//! beside what users would run instead. `cargo xtask bench` builds and runs it.

mod args;
mod budget;
mod fleet;
mod footprint;
mod fragile;
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

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser as _;

fn main() -> ExitCode {
    let name = std::env::args_os().next().map(PathBuf::from);
    if name.as_deref().and_then(Path::file_name).is_some_and(|name| name == fragile::PROGRAM) {
        return fragile::run();
    }
    let done = match args::Arguments::parse().command {
        args::Command::Run(options) => run::run(&options),
        args::Command::Serve { port } => serve::run(port),
    };
    done.unwrap_or_else(|error| {
        eprintln!("remora-bench: {error:#}");
        ExitCode::FAILURE
    })
}
