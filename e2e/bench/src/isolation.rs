//! What one pod's trouble costs its neighbours: their p99 at a fixed rate, and
//! their requests that were not answered, while another pod of the node is
//! flooded, loses its proxy, or makes its parser panic.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{
    load::{Outcome, PATIENCE, Pace, Plan, Script, Window, drive, drive_on},
    partner::{Mode, Partner, Protocol, Runner, SMALL},
    results::{Better, Figure, Results, percentile},
    run::{Part, say},
    stage::Stage,
    workload::microseconds,
};

/// The name of this part.
pub(crate) const NAME: &str = "isolation";

/// Pods that have no trouble.
const NEIGHBOURS: usize = 3;

/// Requests to all of them together, and the connections that carry them.
const PER_SECOND: u32 = 900;
const CONNECTIONS: usize = 12;

/// The flood: pipelined requests on so many connections, as fast as they go.
const FLOOD: usize = 64;
const DEPTH: u32 = 16;

/// What makes its parser panic, in a client's request.
const MAGIC: &str = "bench:panic";

/// Rules that a policy proxy holds.
const RULES: usize = 10;

/// The flood's client gets what the neighbours' leaves of their core: what is
/// measured are the proxies.
const LEAST_PRIORITY: i32 = 19;

/// What befalls the pod beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Calm,
    Flood,
    /// Its proxy is killed, as by the kernel when memory is short, and started
    /// again at once.
    Kill,
    /// Its parser panics, over and over.
    Panic,
}

impl Trouble {
    const ALL: [Self; 4] = [Self::Calm, Self::Flood, Self::Kill, Self::Panic];

    fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Flood => "flood",
            Self::Kill => "kill",
            Self::Panic => "panic",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Calm => "nothing is the matter",
            Self::Flood => "another pod is flooded",
            Self::Kill => "another pod's proxy is killed",
            Self::Panic => "another pod's parser panics",
        }
    }

    /// Whether it can befall a pod behind this partner.
    fn befalls(self, partner: &Partner) -> bool {
        match self {
            Self::Calm | Self::Flood => true,
            Self::Kill => partner.about.mode != Mode::None,
            Self::Panic => partner.about.panics,
        }
    }
}

/// Measures a partner before a few pods, on a node of its own.
pub(crate) fn measure(partner: &Partner, part: &Part<'_>, results: &mut Results) -> Result<()> {
    let programs = fragile_programs(&part.options.programs)?;
    let stage = Stage::set(programs.path(), part.cores)?;
    let names: Vec<_> = (0..=NEIGHBOURS).map(|index| format!("beside-{index}")).collect();
    let spots = stage.spots(&names, partner, &[Protocol::Memcached])?;
    let mut runner = Runner::prepare(partner, &stage, &spots, RULES)?;
    runner.start()?;
    for trouble in Trouble::ALL.into_iter().filter(|trouble| trouble.befalls(partner)) {
        for round in 0..part.extent.rounds {
            let outcome = beside(trouble, &stage, &mut runner, part.extent.window)
                .with_context(|| format!("while {}", trouble.title()))?;
            record(trouble, partner, round, &outcome, results);
            // Whoever was killed serves again before the next.
            runner.await_served()?;
        }
    }
    Ok(())
}

/// The programs, with the sidecar whose parser can be made to panic.
fn fragile_programs(programs: &Path) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, file) in [
        ("remora-agent", "remora-agent"),
        ("remora-init", "remora-init"),
        ("remora-sidecar", "examples/fragile"),
    ] {
        let program = programs.join(file).canonicalize();
        let program = program.with_context(|| format!("finding {file}"))?;
        symlink(program, folder.path().join(name))?;
    }
    Ok(folder)
}

/// The neighbours' load, with trouble beside it from its begin to its end.
fn beside(
    trouble: Trouble,
    stage: &Stage,
    runner: &mut Runner<'_>,
    window: Window,
) -> Result<Outcome> {
    let mut addresses = runner.addresses(Protocol::Memcached);
    let troubled = addresses.pop().context("no pod")?;
    let script = &Script::memcached_get(SMALL);
    let pace = Pace::Fixed { per_second: PER_SECOND };
    let plan = Plan { addresses: &addresses, connections: CONNECTIONS, script, pace, window };
    let until = Instant::now() + window.warm_up + window.measured;
    let in_client = |work: &(dyn Fn() -> Result<Outcome> + Sync)| {
        stage.client().enter_network(work).map_err(anyhow::Error::from).flatten()
    };
    thread::scope(|scope| {
        let load = scope.spawn(|| in_client(&|| drive_on(&plan)));
        match trouble {
            Trouble::Calm => {}
            Trouble::Flood => {
                in_client(&|| flood(troubled, window))?;
            }
            Trouble::Kill => {
                thread::sleep(window.warm_up + window.measured / 4);
                runner.replace_last()?;
            }
            Trouble::Panic => {
                in_client(&|| panics(troubled, until))?;
            }
        }
        load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn flood(troubled: SocketAddr, window: Window) -> Result<Outcome> {
    rustix::process::nice(LEAST_PRIORITY).context("lowering the flood's priority")?;
    let (script, pace) = (&Script::memcached_get(SMALL), Pace::Closed { depth: DEPTH });
    let plan = Plan { addresses: &[troubled], connections: FLOOD, script, pace, window };
    let outcome = drive(&plan, &|| Ok(Duration::ZERO))?;
    say(&format!("    the flood came to {:.0}/s", outcome.rate()));
    Ok(outcome)
}

/// Has the parser panic until then, a connection each time.
fn panics(troubled: SocketAddr, until: Instant) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while Instant::now() < until {
        let mut stream = TcpStream::connect_timeout(&troubled, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("get {MAGIC}\r\n").as_bytes())?;
        let ended = stream.read(&mut [0]).unwrap_or_default();
        ensure!(ended == 0, "a request that makes the parser panic was answered");
        outcome.amount += 1;
    }
    ensure!(outcome.amount > 0, "nothing panicked");
    say(&format!("    the parser panicked {} times", outcome.amount));
    Ok(outcome)
}

fn record(
    trouble: Trouble,
    partner: &Partner,
    round: usize,
    outcome: &Outcome,
    results: &mut Results,
) {
    let (name, when) = (partner.name.as_str(), trouble.title());
    let figure = |what: &str, title: &str, unit| {
        let id = format!("{NAME}.{}-{what}", trouble.name());
        Figure::new(&id, &format!("while {when}: neighbours' {title}"), unit, Better::Less)
    };
    let p99 = percentile(&outcome.latencies, 0.99).map_or(0.0, microseconds);
    let all = outcome.latencies.len() as u64 + outcome.failed;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let failed = outcome.failed as f64 / all.max(1) as f64 * 100.0;
    say(&format!("{name}, {when}: neighbours' p99 {p99:.0} µs, {failed:.2} % not answered"));
    results.record(&figure("p99", "p99", "µs"), name, round, p99);
    results.record(&figure("failed", "requests not answered", "%"), name, round, failed);
}
