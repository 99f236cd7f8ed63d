//! The command `remora`.

use std::process::ExitCode;

fn main() -> ExitCode {
    remora_cli::run(std::env::args_os())
}
