//! Kills processes that it can see, by the name of their program.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// Kills every process whose program has that file name.
pub(crate) fn run(program: &str) -> Result<(), String> {
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let numbers = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|number| {
            let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = Path::new(std::str::from_utf8(first).unwrap_or_default()).file_name();
            name.is_some_and(|name| name == program)
        });
    let mut killed = 0;
    for pid in numbers.filter_map(Pid::from_raw) {
        kill_process(pid, Signal::KILL).map_err(|error| format!("{pid:?}: {error}"))?;
        killed += 1;
    }
    if killed == 0 { Err(format!("no {program} runs here")) } else { Ok(()) }
}
