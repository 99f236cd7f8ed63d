//! A partner that runs: a proxy in each pod, or one for all of them, or none.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use remora_netns::{Job, Process};

use super::{CommandLine, Mode, Partner, Protocol};
use crate::{
    load::{self, Script},
    process,
    stage::{PROXY_UID, Spot, Stage},
};

/// How often a proxy that does not serve yet is asked again.
const AGAIN: Duration = Duration::from_micros(300);

/// How long all proxies together may take to serve: a hundred of them start on
/// one core.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// The size of the values by which a proxy is asked whether it serves.
pub(crate) const SMALL: usize = 100;

/// A partner before some pods.
pub(crate) struct Runner<'s> {
    pub(crate) partner: &'s Partner,
    stage: &'s Stage,
    pub(crate) spots: &'s [Spot],
    commands: Vec<CommandLine>,
    proxies: Vec<Process>,
}

impl<'s> Runner<'s> {
    /// Prepares a partner that shall hold about so many rules, before these pods.
    pub(crate) fn prepare(
        partner: &'s Partner,
        stage: &'s Stage,
        spots: &'s [Spot],
        rules: usize,
    ) -> Result<Self> {
        let commands = match partner.about.mode {
            Mode::None => Vec::new(),
            Mode::Sidecar => spots
                .iter()
                .map(|spot| stage.command(partner, std::slice::from_ref(spot), rules))
                .collect::<Result<_>>()?,
            Mode::Node => vec![stage.command(partner, spots, rules)?],
        };
        Ok(Self { partner, stage, spots, commands, proxies: Vec::new() })
    }

    /// Starts it, and waits until it serves all pods. Returns how long that
    /// took from the moment at which the last program ran.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        for (index, command) in self.commands.iter().enumerate() {
            self.proxies.push(self.launch(index, command)?);
        }
        let begin = Instant::now();
        let addresses: Vec<_> =
            self.spots.iter().map(|spot| spot.address(Protocol::Memcached)).collect();
        match self.in_client(|| self.await_ready(&addresses)) {
            Ok(()) => Ok(begin.elapsed()),
            Err(error) => Err(error.context(self.log())),
        }
    }

    /// Does something in the client's pod.
    pub(crate) fn in_client<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.stage.client().enter_network(work)?
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        self.proxies.clear();
    }

    /// Where clients reach the servers.
    pub(crate) fn addresses(&self, protocol: Protocol) -> Vec<SocketAddr> {
        self.spots.iter().map(|spot| spot.address(protocol)).collect()
    }

    /// CPU time so far. Without a proxy there is none.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.proxies.iter().map(|proxy| process::cpu(proxy.pid())).sum()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        self.proxies.iter().map(|proxy| process::resident(proxy.pid())).sum()
    }

    /// Memory in KiB, shared pages counted once.
    pub(crate) fn proportional(&self) -> Result<f64> {
        self.proxies.iter().map(|proxy| process::proportional(proxy.pid())).sum()
    }

    /// Asks each server through its proxy until the right answer comes.
    fn await_ready(&self, addresses: &[SocketAddr]) -> Result<()> {
        let script = Script::memcached_get(SMALL);
        let deadline = Instant::now() + READY_LIMIT;
        for address in addresses {
            while let Err(error) = load::ask(*address, &script) {
                let has_ended = |proxy: &Process| proxy.wait(Duration::ZERO).is_ok();
                ensure!(!self.proxies.iter().any(has_ended), "a proxy has ended: {error:#}");
                ensure!(Instant::now() < deadline, "{address} in {READY_LIMIT:?}: {error:#}");
                thread::sleep(AGAIN);
            }
        }
        Ok(())
    }

    fn launch(&self, index: usize, command: &CommandLine) -> Result<Process> {
        let name = format!("{}-{index}", self.partner.name);
        let job = Job {
            name: &name,
            argv: &command.words(),
            env: &command.environment(),
            // On a node, a proxy has the rights to reach into pods.
            uid: (self.partner.about.mode == Mode::Sidecar).then_some(PROXY_UID),
            // An access log goes nowhere: what it costs to write is measured,
            // what it costs to keep is not.
            stdout: Some("/dev/null".as_ref()),
        };
        self.stage.cores().as_proxy(|| {
            let started = match self.partner.about.mode {
                Mode::Sidecar => self.spots[index].pod.start(&job),
                Mode::None | Mode::Node => self.stage.node().start(&job),
            };
            started.with_context(|| format!("starting {}", self.partner.name))
        })
    }

    /// The end of what the proxies said.
    fn log(&self) -> String {
        let last = |proxy: &Process| {
            let log = proxy.logs();
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(5)..].join("\n")
        };
        let logs: Vec<_> = self.proxies.iter().take(1).map(last).collect();
        format!("{} does not serve; its log ends:\n{}", self.partner.name, logs.join("\n"))
    }
}

/// The addresses of a pod as a variable.
pub(crate) fn joined(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
