//! Many pods at the same total load: what a proxy in each costs, against one
//! on the node for all of them.

use anyhow::{Result, ensure};

use crate::{
    load::{Pace, Plan, Script, drive},
    partner::{Partner, Protocol, Runner, SMALL},
    process,
    results::{Better, Figure, Results, percentile},
    run::{Part, say},
    stage::{Spot, Stage},
    workload::microseconds,
};

/// The name of this part.
pub(crate) const NAME: &str = "fleet";

/// The load on all pods together.
const PER_SECOND: u32 = 2000;

/// Connections to all pods together, or one to each if there are more pods.
const CONNECTIONS: usize = 32;

const RULES: usize = 10;

/// The share of the memory that is free which a fleet may take.
const SHARE: f64 = 0.7;

/// Measures a partner before ever more pods, on a node of its own.
pub(crate) fn measure(partner: &Partner, part: &Part<'_>, results: &mut Results) -> Result<()> {
    let stage = Stage::set(&part.options.programs, part.cores)?;
    let mut spots = Vec::new();
    let mut each = 0.0;
    for count in part.extent.fleets {
        let free = process::available()?;
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let needed = each * *count as f64;
        ensure!(
            needed <= free * SHARE,
            "{count} pods would take {:.1} GiB, and {:.1} GiB are free",
            needed / f64::from(1 << 20),
            free / f64::from(1 << 20)
        );
        let names: Vec<_> = (spots.len()..*count).map(|index| format!("fleet-{index}")).collect();
        spots.extend(stage.spots(&names, partner, &[Protocol::Memcached])?);
        let memory = serve(partner, &stage, &spots, part, results)?;
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let share = memory / *count as f64;
        each = share;
    }
    Ok(())
}

/// Returns the memory of all proxies, in KiB.
fn serve(
    partner: &Partner,
    stage: &Stage,
    spots: &[Spot],
    part: &Part<'_>,
    results: &mut Results,
) -> Result<f64> {
    let mut runner = Runner::prepare(partner, stage, spots, RULES)?;
    runner.start()?;
    let script = &Script::memcached_get(SMALL);
    let plan = Plan {
        addresses: &runner.addresses(Protocol::Memcached),
        connections: CONNECTIONS.max(spots.len()),
        script,
        pace: Pace::Fixed { per_second: PER_SECOND },
        window: part.extent.window,
    };
    let outcome = runner.in_client(|| drive(&plan, &|| runner.cpu()))?;
    let memory = runner.proportional()?;
    let (name, pods) = (partner.name.as_str(), spots.len());
    let figure = |what: &str, title: &str, unit| {
        let title = format!("{pods} pods, {PER_SECOND} gets/s together: {title}");
        Figure::new(&format!("{NAME}-{pods}.{what}"), &title, unit, Better::Less)
    };
    let p99 = percentile(&outcome.latencies, 0.99).map_or(0.0, microseconds);
    let cpu = outcome.microseconds_each();
    say(&format!(
        "{pods} pods behind {name}: {:.1} MiB, {cpu:.1} µs of CPU each, p99 {p99:.0} µs",
        memory / 1024.0
    ));
    results.record(&figure("memory", "memory of all proxies", "MiB"), name, 0, memory / 1024.0);
    results.record(&figure("cpu", "CPU of all proxies for each", "µs"), name, 0, cpu);
    results.record(&figure("p99", "p99", "µs"), name, 0, p99);
    Ok(memory)
}
