//! What `/proc` tells of a process and all that it started: the proxy, however
//! many processes and threads it is made of.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// CPU time of a process, its threads and its descendants since they started.
///
/// The kernel's count of nanoseconds on a core, in which a system call's work
/// is included, and so is the network's on behalf of whom it interrupts; the
/// counts of `/proc/PID/stat` are the same time, in hundredths of a second.
pub(crate) fn cpu(pid: i32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for pid in family(pid) {
        for thread in threads(pid) {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"));
            let first = |text: &str| text.split(' ').next()?.parse::<u64>().ok();
            // A thread may end between the two looks.
            nanoseconds += text.ok().as_deref().and_then(first).unwrap_or_default();
        }
    }
    (nanoseconds > 0)
        .then(|| Duration::from_nanos(nanoseconds))
        .with_context(|| format!("process {pid} has ended, or this kernel counts no CPU time"))
}

/// Resident memory of a process and its descendants, in KiB, as `ps` shows it.
pub(crate) fn resident(pid: i32) -> Result<f64> {
    total(pid, "status", "VmRSS:")
}

/// Memory of a process and its descendants in KiB, where a page that several
/// processes share counts to each in part: the measure that can be added up.
pub(crate) fn proportional(pid: i32) -> Result<f64> {
    total(pid, "smaps_rollup", "Pss:")
}

/// Memory that a new process could have, in KiB.
pub(crate) fn available() -> Result<f64> {
    field("/proc/meminfo", "MemAvailable:")
}

fn total(pid: i32, file: &str, name: &str) -> Result<f64> {
    family(pid).iter().map(|pid| field(&format!("/proc/{pid}/{file}"), name)).sum()
}

fn field(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{path} shows no {name}"))
}

/// A process and those of its descendants that run.
fn family(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        for thread in threads(pid) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"));
            let children = children.unwrap_or_default();
            let pids = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
            found.extend(pids.filter(|pid| !has_ended(*pid)));
        }
    }
    found
}

/// Whether nobody has waited for it yet: it has no memory any more.
fn has_ended(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tZ"))
}

fn threads(pid: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_counted_with_its_children() {
        let this = i32::try_from(std::process::id()).expect("a pid");
        let alone = resident(this).expect("memory");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("a pid");
        assert!(family(this).contains(&pid));
        assert!(resident(this).expect("memory") > alone / 2.0);
        assert!(proportional(this).expect("memory") > 0.0);
        assert!(cpu(this).expect("time") > Duration::ZERO);
        child.kill().expect("killed");
        while !has_ended(pid) {
            std::thread::yield_now();
        }
        assert!(!family(this).contains(&pid) && resident(this).is_ok(), "nor does it count");
        child.wait().expect("ended");
        assert!(cpu(pid).is_err(), "one that has ended is no measurement of zero");
    }
}
