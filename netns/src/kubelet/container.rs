//! One container through its runs: started, ended, started again.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::call::Caller;
use super::prober;
use super::recipe::Recipe;
use crate::Result;
use crate::manifest::{ContainerSpec, Hooks, Probes};
use crate::run::{Control, launch, lock};

/// First pause before a container is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a postStart hook may take. A kubelet sets no limit of its own.
const HOOK_LIMIT: Duration = Duration::from_secs(10);

/// A container and the threads that keep and probe it. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) recipe: Arc<Recipe>,
    shared: Arc<Shared>,
    calls: Arc<Calls>,
    threads: Vec<JoinHandle<()>>,
}

/// What the container is asked, and who asks.
#[derive(Debug)]
struct Calls {
    probes: Probes,
    hooks: Hooks,
    caller: Caller,
}

/// What the threads know about a container.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The run that is going on.
    pub(super) run: Option<Control>,
    /// How often it was started.
    pub(super) runs: u32,
    /// This run passed its startup probe, or has none.
    pub(super) started: bool,
    /// This run passed its readiness probe, or has none.
    pub(super) ready: bool,
    last_exit: Option<i32>,
    /// It could not be started at all, or its hook failed in this run.
    failure: Option<String>,
    /// There will be no further run.
    pub(super) over: bool,
    pub(super) stopping: bool,
}

impl Container {
    pub(super) fn start(recipe: Recipe, spec: &ContainerSpec, caller: Caller) -> Self {
        let (recipe, shared) = (Arc::new(recipe), Arc::new(Shared::default()));
        let (probes, hooks) = (spec.probes.clone(), spec.hooks.clone());
        let is_probed =
            probes.startup.is_some() || probes.readiness.is_some() || probes.liveness.is_some();
        let calls = Arc::new(Calls { probes, hooks, caller });
        let parts = || (Arc::clone(&recipe), Arc::clone(&shared), Arc::clone(&calls));
        let mut threads = Vec::new();
        let (its_recipe, its_shared, its_calls) = parts();
        threads.push(thread::spawn(move || keep(&its_recipe, &its_shared, &its_calls)));
        if is_probed {
            let (recipe, shared, calls) = parts();
            threads.push(thread::spawn(move || {
                prober::watch(&recipe, &shared, &calls.probes, &calls.caller);
            }));
        }
        Self { recipe, shared, calls, threads }
    }

    /// Waits until `wanted` holds; an error if the container can't get there any more.
    fn wait_for(&self, what: &str, limit: Duration, wanted: impl Fn(&State) -> bool) -> Result<()> {
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(lock(&self.shared.state), limit, |state| {
                !wanted(state) && !state.over
            })
            .unwrap_or_else(PoisonError::into_inner);
        if wanted(&state) {
            return Ok(());
        }
        let problem = match (&state.failure, state.last_exit) {
            (Some(failure), _) => failure.clone(),
            (None, Some(code)) => {
                format!("it is not {what} after {limit:?}; its last run ended with code {code}")
            }
            (None, None) => format!("it is not {what} after {limit:?}"),
        };
        drop(state);
        Err(self.recipe.failed(problem))
    }

    pub(crate) fn wait_started(&self, limit: Duration) -> Result<()> {
        self.wait_for("started", limit, |state| {
            state.started || state.last_exit == Some(0) && state.over
        })
    }

    pub(crate) fn wait_ready(&self, limit: Duration) -> Result<()> {
        self.wait_for("ready", limit, |state| {
            state.ready || state.last_exit == Some(0) && state.over
        })
    }

    /// Waits until it is ready again after at least `restarts` restarts.
    pub(crate) fn wait_restarted(&self, restarts: u32, limit: Duration) -> Result<()> {
        self.wait_for("restarted", limit, |state| state.ready && state.runs > restarts)
    }

    /// Waits for the end of the last run, which must have succeeded.
    pub(crate) fn wait_completed(&self, limit: Duration) -> Result<()> {
        self.wait_for("completed", limit, |state| state.over && state.last_exit == Some(0))
    }

    /// The host's id of the first process, while there is one.
    pub(crate) fn pid(&self) -> Option<i32> {
        lock(&self.shared.state).run.as_ref().map(|run| run.pid)
    }

    pub(crate) fn restarts(&self) -> u32 {
        lock(&self.shared.state).runs.saturating_sub(1)
    }

    pub(crate) fn ready(&self) -> bool {
        lock(&self.shared.state).ready
    }

    /// Signals the running process; false if none runs. SIGKILL cannot fail, so
    /// its effect is waited for: the process, and its sockets, are gone then.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let mut state = lock(&self.shared.state);
        let this_run = state.runs;
        let Some(run) = &mut state.run else { return false };
        run.signal(signal);
        if signal == Signal::KILL {
            let lasts = |state: &mut State| state.run.is_some() && state.runs == this_run;
            drop(self.shared.changed.wait_while(state, lasts));
        }
        true
    }

    /// Runs the preStop hook, which may fail as it may with a kubelet, then asks the
    /// process to end.
    pub(crate) fn ask_to_stop(&self, grace: Duration) {
        if let (Some(hook), Some(pid)) = (&self.calls.hooks.pre_stop, self.pid()) {
            let _ = self.calls.caller.check(hook, &self.recipe, pid, grace);
        }
        self.signal(Signal::TERM);
    }

    /// No further run from now on.
    pub(crate) fn no_more_runs(&self) {
        lock(&self.shared.state).stopping = true;
        self.shared.changed.notify_all();
    }

    /// Waits for the end of the current run, kills at the limit, and returns the exit code.
    pub(crate) fn wait_end(&self, limit: Duration) -> Option<i32> {
        let ended = |state: &mut State| !state.over;
        let (mut state, late) = self
            .shared
            .changed
            .wait_timeout_while(lock(&self.shared.state), limit, ended)
            .unwrap_or_else(PoisonError::into_inner);
        if late.timed_out() {
            drop(state.run.take());
            state = self
                .shared
                .changed
                .wait_while(state, ended)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.last_exit
    }

    /// Kills the current run, and lets no other begin.
    pub(crate) fn kill(&self) {
        let mut state = lock(&self.shared.state);
        state.stopping = true;
        drop(state.run.take());
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Runs the container until its policy, its failure or its owner ends it.
fn keep(recipe: &Recipe, shared: &Shared, calls: &Calls) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let over = match launch(&recipe.shim, &recipe.start) {
            Ok((control, ending)) => {
                let hooked = calls.hooks.post_start.as_ref().map_or(Ok(()), |hook| {
                    calls.caller.check(hook, recipe, control.pid, HOOK_LIMIT)
                });
                shared.begin(control, &calls.probes, hooked);
                shared.end(ending.wait(), recipe)
            }
            Err(problem) => shared.fail(problem),
        };
        if over {
            return;
        }
        if begun.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        let stopped = shared.pause(pause, |state| state.stopping);
        if stopped {
            lock(&shared.state).over = true;
            shared.changed.notify_all();
            return;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

impl Shared {
    fn begin(&self, control: Control, probes: &Probes, hooked: Result<(), String>) {
        let mut state = lock(&self.state);
        state.runs += 1;
        state.failure = hooked.err().map(|problem| format!("its postStart hook failed: {problem}"));
        state.started = state.failure.is_none() && probes.startup.is_none();
        state.ready = state.started && probes.readiness.is_none();
        // One that was stopped while it started, or whose hook failed, is killed by dropping
        // its control.
        state.run = Some(control).filter(|_| !state.stopping && state.failure.is_none());
        drop(state);
        self.changed.notify_all();
    }

    fn end(&self, code: i32, recipe: &Recipe) -> bool {
        let mut state = lock(&self.state);
        state.run = None;
        (state.started, state.ready) = (false, false);
        state.last_exit = Some(code);
        state.over = state.stopping || !recipe.restart.restarts_after(code);
        let over = state.over;
        drop(state);
        self.changed.notify_all();
        over
    }

    fn fail(&self, problem: String) -> bool {
        let mut state = lock(&self.state);
        state.failure = Some(problem);
        state.over = true;
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits `time`, or until `cut_short` holds: then true.
    pub(super) fn pause(&self, time: Duration, cut_short: impl Fn(&State) -> bool) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(lock(&self.state), time, |state| !cut_short(state))
            .unwrap_or_else(PoisonError::into_inner);
        cut_short(&state)
    }
}
