//! The machine: its cores, and what a report says of it.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// Where the work is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// Client, server, and whatever else is not measured.
    pub(crate) load: usize,
    /// The proxy, and nobody else.
    pub(crate) proxy: usize,
}

/// What is written into a report.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// As the kernel names it.
    pub(crate) processor: String,
    /// How many cores this process may use.
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The share of all cores' time that others used just before the run, in
    /// percent: on a machine that does something else too, little can be
    /// measured.
    pub(crate) busy_before: f64,
}

impl Cores {
    /// The first core that may be used for the load, the last for the proxy.
    /// On one core both are the same.
    pub(crate) fn find() -> Result<Self> {
        let cores = allowed()?;
        let first = cores.first().copied().context("this process may use no core")?;
        Ok(Self { load: first, proxy: cores.last().copied().unwrap_or(first) })
    }

    /// Puts this thread, and what it starts from now on, on the load's core.
    pub(crate) fn as_load(self) -> Result<()> {
        pin(self.load)
    }

    /// Does something on the proxy's core: what is started there stays there.
    pub(crate) fn as_proxy<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(self.proxy)?;
        let started = start();
        pin(self.load)?;
        started
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("moving to core {core}"))
}

fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("asking which cores may be used")?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// For how long is looked at what others do.
const LOOK: Duration = Duration::from_millis(500);

/// Above this, a machine does something else too.
const QUIET_PERCENT: f64 = 15.0;

/// How much of all cores' time is used while this process only waits, in percent.
fn busy() -> Result<f64> {
    let before = times()?;
    thread::sleep(LOOK);
    let after = times()?;
    let (used, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let share = used as f64 / all.max(1) as f64;
    Ok(share * 100.0)
}

/// Ticks of all cores: those that were used, and all.
fn times() -> Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let line = line.context("/proc/stat shows no cores")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // User, nice, system, idle, waiting, interrupts; guests are in user already.
    let all: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

impl Machine {
    /// Whether nobody else used it much before the run.
    pub(crate) fn was_quiet(&self) -> bool {
        self.busy_before <= QUIET_PERCENT
    }

    /// In one line.
    pub(crate) fn describe(&self) -> String {
        let Self { processor, cores, memory_gib, kernel, busy_before } = self;
        let note = if self.was_quiet() {
            String::new()
        } else {
            format!("; {busy_before:.0}% busy with something else, so figures mean little")
        };
        format!("{processor}, {cores} cores, {memory_gib} GiB, kernel {kernel}{note}")
    }

    pub(crate) fn look() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
        let memory = read("/proc/meminfo");
        let memory_kib: Option<u64> = memory.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()
        });
        Ok(Self {
            processor,
            cores: allowed()?.len(),
            memory_gib: memory_kib.unwrap_or_default().div_ceil(1 << 20),
            kernel: version(read("/proc/sys/kernel/osrelease").trim()).to_owned(),
            busy_before: busy()?,
        })
    }
}

/// `6.1.0` of `6.1.0-13-amd64`: who has built it is of no interest.
fn version(release: &str) -> &str {
    release.split_once('-').map_or(release, |(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_its_version() {
        assert_eq!((version("6.1.0-13-amd64"), version("6.18.2")), ("6.1.0", "6.18.2"));
    }

    #[test]
    fn a_busy_machine_says_so() {
        let mut machine = Machine::look().expect("a machine");
        assert!((0.0..=100.0).contains(&machine.busy_before), "{machine:?}");
        machine.busy_before = 3.0;
        assert!(machine.was_quiet() && !machine.describe().contains("busy"));
        machine.busy_before = 70.4;
        assert!(machine.describe().contains("70% busy"), "{}", machine.describe());
    }

    #[test]
    fn threads_go_where_they_are_put() {
        let (before, cores) = (allowed().expect("cores"), Cores::find().expect("cores"));
        thread::spawn(move || {
            cores.as_load().expect("moved");
            let inside = cores.as_proxy(allowed).expect("moved");
            assert_eq!(inside, [cores.proxy]);
            assert_eq!(allowed().expect("cores"), [cores.load]);
        })
        .join()
        .expect("no panic");
        assert_eq!(allowed().expect("cores"), before);
    }
}
