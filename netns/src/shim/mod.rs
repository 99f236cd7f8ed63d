//! `remora-shim`: starts one process in its namespaces and stays as its parent.
//!
//! The owner writes a [`Spec`] as the first line of standard input, then
//! commands (`SIGNAL N`). The shim answers on standard output with `pid N` once
//! the program runs and `exit CODE` when it has ended, or with `error TEXT` if
//! it could not be started. The end of standard input means that the owner is
//! gone, by whatever death: the process is killed.
//!
//! The program is process 1 of a PID namespace, so its children end with it.
//! Starting takes two steps, because the first process of a PID namespace is
//! the one forked after the namespace was made: `supervise` makes or joins the
//! namespaces and runs the shim a second time, which builds the root, gives up
//! rights and becomes the program.

mod become_program;
mod janitor;
mod privileges;
mod root;
mod spec;
mod supervise;

use std::process::ExitCode;

pub(crate) use spec::{BindMount, Files, Root, Spec, User};

/// The whole of the `remora-shim` program.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => supervise::run(),
        ["become"] => become_program::run(),
        ["janitor", directory] => janitor::run(directory.as_ref()),
        _ => {
            eprintln!("remora-shim is started by the harness, not by hand");
            ExitCode::from(64)
        }
    }
}
