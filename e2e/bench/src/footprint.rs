//! What a proxy takes before it does anything: time to start, memory, and
//! memory for each connection that is open and idle.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::{
    load::{self, Script},
    partner::{Mode, Partner, Protocol, Runner, SMALL},
    results::{Better, Figure, Results},
    run::{Extent, say},
    stage::{Spot, Stage},
};

/// The name of this part.
pub(crate) const NAME: &str = "footprint";

/// Rules that a policy proxy holds.
const RULES: usize = 1000;

/// For what a proxy still does once it serves.
const SETTLE: Duration = Duration::from_millis(100);

/// Measures a partner that does not run yet.
pub(crate) fn measure(
    partner: &Partner,
    stage: &Stage,
    spots: &[Spot],
    extent: Extent,
    results: &mut Results,
) {
    if partner.about.mode == Mode::None {
        return;
    }
    say(&format!("footprint of {} with {RULES} rules", partner.name));
    let measured = Runner::prepare(partner, stage, spots, RULES).and_then(|mut runner| {
        // The first start waits for the agent to have read the policy.
        runner.start()?;
        for round in 0..extent.starts {
            start(&mut runner, round, results)?;
        }
        connections(&runner, extent.held, results)
    });
    if let Err(error) = measured {
        results.failures.push(format!("{}, {NAME}: {error:#}", partner.name));
    }
}

fn start(runner: &mut Runner<'_>, round: usize, results: &mut Results) -> Result<()> {
    runner.stop();
    let took = runner.start()?.as_secs_f64() * 1e3;
    thread::sleep(SETTLE);
    let idle = runner.resident()?;
    say(&format!("    serves after {took:.1} ms, holds {idle:.0} KiB"));
    let name = &runner.partner.name;
    let figure =
        |what: &str, title, unit| Figure::new(&format!("{NAME}.{what}"), title, unit, Better::Less);
    results.record(&figure("start", "from exec to the first answer", "ms"), name, round, took);
    results.record(&figure("idle", "memory when idle, 1,000 rules", "KiB"), name, round, idle);
    Ok(())
}

fn connections(runner: &Runner<'_>, count: usize, results: &mut Results) -> Result<()> {
    let before = runner.resident()?;
    let address = runner.addresses(Protocol::Memcached)[0];
    let script = Script::memcached_get(SMALL);
    let held = runner.in_client(|| load::hold(address, &script, count))?;
    thread::sleep(SETTLE);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let each = (runner.resident()? - before) / held.len() as f64;
    say(&format!("    {each:.1} KiB for each of {count} idle connections"));
    let title = "memory for each idle connection";
    let figure = Figure::new(&format!("{NAME}.connection"), title, "KiB", Better::Less);
    results.record(&figure, &runner.partner.name, 0, each);
    Ok(())
}
