//! Removes the owner's work directory when the owner is gone.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The last containers may still be ending, and writing, just then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for the end of standard input, then removes `directory`.
pub(super) fn run(directory: &Path) -> ExitCode {
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = fs::remove_dir_all(directory) {
        if error.kind() == ErrorKind::NotFound {
            break;
        }
        if Instant::now() > deadline {
            return ExitCode::FAILURE;
        }
        sleep(Duration::from_millis(20));
    }
    ExitCode::SUCCESS
}
