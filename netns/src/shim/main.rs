//! The process beside each container: see [`remora_netns::shim`].

use std::process::ExitCode;

fn main() -> ExitCode {
    remora_netns::shim::main()
}
