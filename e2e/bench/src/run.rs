//! A whole run: who takes part, which parts are measured, and the report.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    args::Options,
    budget::Budget,
    fleet, footprint, isolation,
    load::Window,
    machine::{Cores, Machine},
    partner::{Mode, Partner, Protocol, Runner},
    propagation, report,
    results::Results,
    stage::{Spot, Stage},
    workload::{self, Workload},
};

/// Rules that a policy proxy holds while it carries loads.
const RULES: usize = 10;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    pub(crate) window: Window,
    /// Connections that are held open at once.
    pub(crate) held: usize,
    /// How often a proxy is started.
    pub(crate) starts: usize,
    /// Sizes of fleets, in pods.
    pub(crate) fleets: &'static [usize],
    /// Sidecars at one agent.
    pub(crate) sidecars: &'static [usize],
    /// Changes of a policy.
    pub(crate) changes: usize,
}

impl Extent {
    fn of(quick: bool) -> Self {
        let window = |warm_up, measured| Window {
            warm_up: Duration::from_millis(warm_up),
            measured: Duration::from_millis(measured),
        };
        if quick {
            Self {
                rounds: 3,
                window: window(50, 250),
                held: 1000,
                starts: 3,
                fleets: &[1, 10],
                sidecars: &[1, 100],
                changes: 5,
            }
        } else {
            Self {
                rounds: 5,
                window: window(150, 1200),
                held: 8000,
                starts: 9,
                fleets: &[1, 10, 100, 500],
                sidecars: &[1, 100, 1000],
                changes: 20,
            }
        }
    }
}

/// Measures what was asked for, writes the report, and checks the budget.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let begin = Instant::now();
    let cores = Cores::find()?;
    if cores.load == cores.proxy {
        say("note: one core for client, server and proxy alike: no figure means much");
    }
    let machine = Machine::look()?;
    say(&machine.describe());
    cores.as_load()?;
    if options.docs.is_some() && !machine.was_quiet() {
        bail!("the figures of the page come from a machine that does nothing else");
    }
    let partners = partners(options)?;
    let participants = partners.iter().map(Partner::participant).collect();
    let mut results = Results::new(options.quick, machine, participants);
    let part = Part { options, cores, partners: &partners, extent: Extent::of(options.quick) };
    part.loads(&mut results)?;
    part.fleets(&mut results);
    part.isolation(&mut results);
    part.propagation(&mut results);
    results.failures.iter().for_each(|failure| say(&format!("NOT MEASURED: {failure}")));
    if results.samples.is_empty() {
        bail!("nothing was measured: {:?} names no part, or all failed", options.only);
    }
    report::write(&results, options)?;
    say(&format!("all of it took {:.0} s", begin.elapsed().as_secs_f64()));
    check(&results, options)
}

/// Who takes part, and who is asked for and is not there.
fn partners(options: &Options) -> Result<Vec<Partner>> {
    let mut partners = Partner::all(&options.partners, &options.programs)?;
    if let Some(unknown) =
        options.partner.iter().find(|name| !partners.iter().any(|one| one.name == **name))
    {
        let names: Vec<_> = partners.iter().map(|partner| partner.name.as_str()).collect();
        bail!("there is no partner {unknown}: there are {}", names.join(", "));
    }
    partners
        .retain(|partner| partner.about.mode == Mode::None || options.wants_partner(&partner.name));
    for partner in &partners {
        let about = &partner.about;
        match &about.missing {
            Some(why) => say(&format!("{:<16} {}: MISSING: {why}", partner.name, about.title)),
            None => say(&format!("{:<16} {} {}", partner.name, about.title, about.version)),
        }
    }
    Ok(partners)
}

fn check(results: &Results, options: &Options) -> Result<ExitCode> {
    let Some(file) = &options.budget else { return Ok(ExitCode::SUCCESS) };
    let verdicts = Budget::read(file)?.check(results, |part| options.wants(part));
    verdicts.iter().for_each(|verdict| say(&verdict.to_string()));
    let is_kept = verdicts.iter().all(|verdict| verdict.is_kept);
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of progress.
pub(crate) fn say(line: &str) {
    // Whoever closed our output wants to hear no more.
    let _ = writeln!(io::stdout(), "{line}");
}

/// What all parts of a run share.
pub(crate) struct Part<'a> {
    pub(crate) options: &'a Options,
    pub(crate) cores: Cores,
    pub(crate) partners: &'a [Partner],
    pub(crate) extent: Extent,
}

impl Part<'_> {
    /// Loads and footprints: each partner has its own pod, with its own servers.
    fn loads(&self, results: &mut Results) -> Result<()> {
        let mut workloads = workload::all();
        workloads.retain(|workload| self.options.wants(workload.name));
        let wants_footprint = self.options.wants(footprint::NAME);
        if workloads.is_empty() && !wants_footprint {
            return Ok(());
        }
        let stage = Stage::set(&self.options.programs, self.cores)?;
        let spots = self.spots(&stage, &workloads)?;
        let mut runners = self.start(&stage, &spots, results);
        for workload in &workloads {
            self.measure(workload, &runners, results);
        }
        if wants_footprint {
            runners.iter_mut().for_each(Runner::stop);
            for (partner, spot) in self.present().zip(&spots) {
                footprint::measure(partner, &stage, spot, self.extent, results);
            }
        }
        Ok(())
    }

    /// Partners that are there.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Partner> {
        self.partners.iter().filter(|partner| partner.about.missing.is_none())
    }

    /// A pod for each partner, with the servers that are needed.
    fn spots(&self, stage: &Stage, workloads: &[Workload]) -> Result<Vec<Vec<Spot>>> {
        let is_used = |protocol: &Protocol| {
            let used = |workload: &Workload| workload.protocol == *protocol;
            *protocol == Protocol::Memcached || workloads.iter().any(used)
        };
        let protocols: Vec<_> = Protocol::ALL.into_iter().filter(is_used).collect();
        let spots = |partner: &Partner| {
            stage
                .spots(std::slice::from_ref(&partner.name), partner, &protocols)
                .with_context(|| format!("a pod for {}", partner.name))
        };
        self.present().map(spots).collect()
    }

    fn start<'s>(
        &'s self,
        stage: &'s Stage,
        spots: &'s [Vec<Spot>],
        results: &mut Results,
    ) -> Vec<Runner<'s>> {
        let mut runners = Vec::new();
        for (partner, spots) in self.present().zip(spots) {
            let started = Runner::prepare(partner, stage, spots, RULES)
                .and_then(|mut runner| runner.start().map(|_| runner));
            match started {
                Ok(runner) => runners.push(runner),
                Err(error) => results.failures.push(format!("{}: {error:#}", partner.name)),
            }
        }
        runners
    }

    /// Each partner once in a round, so that what disturbs a round disturbs
    /// all; in another order each time, so that nobody is always the first.
    fn measure(&self, workload: &Workload, runners: &[Runner<'_>], results: &mut Results) {
        let mut runners: Vec<_> =
            runners.iter().filter(|runner| runner.partner.carries(workload.protocol)).collect();
        for round in 0..self.extent.rounds {
            say(&format!("{}, round {} of {}", workload.title, round + 1, self.extent.rounds));
            runners.retain(|runner| {
                let name = &runner.partner.name;
                match workload.run(runner, self.extent.window) {
                    Ok(outcome) => {
                        say(&format!("    {name:<16} {}", workload.show(&outcome)));
                        workload.record(results, name, round, &outcome);
                        true
                    }
                    Err(error) => {
                        results.failures.push(format!("{name}, {}: {error:#}", workload.name));
                        false
                    }
                }
            });
            for runner in runners.iter().filter(|runner| runner.partner.about.mode != Mode::None) {
                workload.record_added(results, &runner.partner.name, round);
            }
            if !runners.is_empty() {
                runners.rotate_left(1);
            }
        }
    }

    fn fleets(&self, results: &mut Results) {
        if !self.options.wants(fleet::NAME) {
            return;
        }
        for partner in self.present().filter(|one| one.about.mode != Mode::None) {
            if let Err(error) = fleet::measure(partner, self, results) {
                results.failures.push(format!("{}, {}: {error:#}", partner.name, fleet::NAME));
            }
        }
    }

    /// Not in a quick run, unless it is asked for by name.
    fn isolation(&self, results: &mut Results) {
        let is_left_out = self.options.quick && self.options.only.is_empty();
        if is_left_out || !self.options.wants(isolation::NAME) {
            return;
        }
        for partner in self.present() {
            if let Err(error) = isolation::measure(partner, self, results) {
                results.failures.push(format!("{}, {}: {error:#}", partner.name, isolation::NAME));
            }
        }
    }

    fn propagation(&self, results: &mut Results) {
        if !self.options.wants(propagation::NAME) {
            return;
        }
        for count in self.extent.sidecars {
            if let Err(error) = propagation::measure(*count, self, results) {
                results.failures.push(format!("{} to {count}: {error:#}", propagation::NAME));
            }
        }
    }
}
