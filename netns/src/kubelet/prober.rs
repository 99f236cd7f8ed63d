//! Probes of a running container.

use std::sync::PoisonError;
use std::time::Instant;

use rustix::process::Signal;

use super::call::Caller;
use super::container::{Shared, State};
use super::recipe::Recipe;
use crate::manifest::{Probe, Probes};
use crate::run::lock;

/// Probes every run of the container until there will be none.
pub(super) fn watch(recipe: &Recipe, shared: &Shared, probes: &Probes, caller: &Caller) {
    let mut seen = 0;
    while let Some((run, pid)) = next_run(shared, seen) {
        seen = run;
        let probing = Probing { recipe, shared, caller, run, pid };
        if probing.startup(probes) {
            probing.steady(probes);
        }
    }
}

/// Waits for a run after the `seen`th.
fn next_run(shared: &Shared, seen: u32) -> Option<(u32, i32)> {
    let waiting = |state: &mut State| !state.over && (state.run.is_none() || state.runs == seen);
    let state = shared
        .changed
        .wait_while(lock(&shared.state), waiting)
        .unwrap_or_else(PoisonError::into_inner);
    state.run.as_ref().map(|run| (state.runs, run.pid))
}

/// The probing of one run.
struct Probing<'a> {
    recipe: &'a Recipe,
    shared: &'a Shared,
    caller: &'a Caller,
    run: u32,
    pid: i32,
}

/// Counts a probe's results in a row, and knows when it is due.
struct Row<'a> {
    probe: &'a Probe,
    due: Instant,
    passed: u32,
    failed: u32,
}

impl<'a> Row<'a> {
    fn new(probe: &'a Probe) -> Self {
        Self { probe, due: Instant::now() + probe.initial_delay, passed: 0, failed: 0 }
    }

    /// Probes once; the verdict if as many results in a row are in as it takes.
    fn poll(&mut self, probing: &Probing<'_>) -> Option<bool> {
        self.due = Instant::now() + self.probe.period;
        if probing.check(self.probe) {
            (self.passed, self.failed) = (self.passed.saturating_add(1), 0);
        } else {
            (self.passed, self.failed) = (0, self.failed.saturating_add(1));
        }
        match self {
            Row { passed, probe, .. } if *passed >= probe.success_threshold => Some(true),
            Row { failed, probe, .. } if *failed >= probe.failure_threshold => Some(false),
            _ => None,
        }
    }
}

impl Probing<'_> {
    /// Probes until this run has started (true), or is over or killed.
    fn startup(&self, probes: &Probes) -> bool {
        let Some(probe) = &probes.startup else { return true };
        let mut row = Row::new(probe);
        while self.wait_until(row.due) {
            match row.poll(self) {
                Some(true) => {
                    self.update(|state| {
                        state.started = true;
                        state.ready = probes.readiness.is_none();
                    });
                    return true;
                }
                Some(false) => {
                    self.update(kill);
                    return false;
                }
                None => {}
            }
        }
        false
    }

    /// Readiness and liveness, for as long as this run lasts.
    fn steady(&self, probes: &Probes) {
        let mut readiness = probes.readiness.as_ref().map(Row::new);
        let mut liveness = probes.liveness.as_ref().map(Row::new);
        while let Some(due) = readiness.iter().chain(&liveness).map(|row| row.due).min() {
            if !self.wait_until(due) {
                return;
            }
            let now = Instant::now();
            if let Some(ready) =
                readiness.as_mut().filter(|row| row.due <= now).and_then(|row| row.poll(self))
            {
                self.update(|state| state.ready = ready);
            }
            if liveness.as_mut().filter(|row| row.due <= now).and_then(|row| row.poll(self))
                == Some(false)
            {
                self.update(kill);
                return;
            }
        }
    }

    fn gone(&self, state: &State) -> bool {
        state.run.is_none() || state.runs != self.run
    }

    /// True when it is time, false when this run is over before.
    fn wait_until(&self, due: Instant) -> bool {
        !self.shared.pause(due.saturating_duration_since(Instant::now()), |state| self.gone(state))
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.shared.state);
        if !self.gone(&state) {
            change(&mut state);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn check(&self, probe: &Probe) -> bool {
        self.caller.check(&probe.check, self.recipe, self.pid, probe.timeout).is_ok()
    }
}

/// For a startup or liveness probe that failed: the restart policy does the rest.
fn kill(state: &mut State) {
    if let Some(run) = &mut state.run {
        run.signal(Signal::KILL);
    }
}
