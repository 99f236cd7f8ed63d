//! How fast a change of policy reaches many sidecars of one agent, and what it
//! costs the agent. The sidecars are simulated: clients of the agent's API, one
//! on each pod's socket, that acknowledge whatever comes.

mod crowd;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    load::PATIENCE,
    process,
    results::{Better, Figure, Results, percentile},
    run::{Part, say},
    stage::Stage,
    workload::microseconds,
};
use crowd::Crowd;

/// The name of this part.
pub(crate) const NAME: &str = "propagation";

/// As whom the agent takes part.
const AGENT: &str = "remora-agent";

/// What a policy's prefix begins with; the number of the change follows.
const MARK: &str = "change-";
/// Digits of that number.
const DIGITS: usize = 6;

/// Measures with so many sidecars.
pub(crate) fn measure(count: usize, part: &Part<'_>, results: &mut Results) -> Result<()> {
    // The agent is what is measured here: it gets the core of the proxies.
    let stage = part.cores.as_proxy(|| Stage::set(&part.options.programs, part.cores))?;
    part.cores.as_load()?;
    let manifests = stage.manifests();
    replace(&manifests, "crowd.yaml", &pods(count))?;
    replace(&manifests, "policy.yaml", &policy(0))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let mut crowd = Crowd::gather(&stage.sockets(), count).await?;
        crowd.all_have(0, Instant::now() + PATIENCE).await?;
        let before = process::cpu(stage.agent().pid())?;
        let mut latencies = Vec::new();
        for change in 1..=part.extent.changes {
            let begin = Instant::now();
            replace(&manifests, "policy.yaml", &policy(change))?;
            let arrivals = crowd.all_have(change, begin + PATIENCE).await?;
            latencies.extend(arrivals.into_iter().map(|arrival| arrival - begin));
        }
        latencies.sort_unstable();
        let cpu = process::cpu(stage.agent().pid())?.saturating_sub(before);
        Ok::<_, anyhow::Error>((latencies, cpu))
    });
    let (latencies, cpu) =
        measured.with_context(|| format!("the agent's log:\n{}", stage.agent().logs()))?;
    let memory = process::resident(stage.agent().pid())? / 1024.0;
    record(results, count, &latencies, cpu, part.extent.changes, memory);
    Ok(())
}

fn record(
    results: &mut Results,
    count: usize,
    latencies: &[Duration],
    cpu: Duration,
    changes: usize,
    memory: f64,
) {
    let figure = |what: &str, title: &str, unit| {
        let title = format!("a change of policy to {count} sidecars: {title}");
        Figure::new(&format!("{NAME}-{count}.{what}"), &title, unit, Better::Less)
    };
    let share = |share| percentile(latencies, share).map_or(0.0, microseconds) / 1e3;
    #[expect(clippy::cast_precision_loss, reason = "tens")]
    let each = cpu.as_secs_f64() * 1e3 / changes as f64;
    let (p50, p99) = (share(0.5), share(0.99));
    say(&format!(
        "a change to {count} sidecars: p50 {p50:.1} ms, p99 {p99:.1} ms; the agent: {each:.1} ms of \
         CPU each, {memory:.1} MiB"
    ));
    let all = [
        (figure("p50", "p50", "ms"), p50),
        (figure("p99", "p99", "ms"), p99),
        (figure("cpu", "CPU of the agent", "ms"), each),
        (figure("memory", "memory of the agent", "MiB"), memory),
    ];
    for (figure, value) in all {
        results.record(&figure, AGENT, 0, value);
    }
}

/// Writes a file as an operator's tool would: whole, by rename.
fn replace(folder: &Path, name: &str, text: &str) -> Result<()> {
    let temporary = folder.join(format!(".{name}.new"));
    fs::write(&temporary, text)?;
    fs::rename(&temporary, folder.join(name))?;
    Ok(())
}

/// The name of one of the simulated pods.
fn name(index: usize) -> String {
    format!("crowd-{index}")
}

/// Pods with a sidecar and addresses that nobody uses.
fn pods(count: usize) -> String {
    let pod = |index: usize| {
        let (high, low) = (index / 250, index % 250 + 1);
        format!(
            "apiVersion: v1\nkind: Pod\n\
             metadata: {{name: {name}, namespace: default, uid: uid-{index}, labels: {{app: crowd}}}}\n\
             spec: {{initContainers: [{{name: remora}}]}}\n\
             status: {{phase: Running, podIPs: [{{ip: 10.99.{high}.{low}}}]}}\n---\n",
            name = name(index)
        )
    };
    (0..count).map(pod).collect()
}

/// A policy of all those pods that tells which change it is.
fn policy(change: usize) -> String {
    format!(
        "apiVersion: cilium.io/v2\n\
         kind: CiliumNetworkPolicy\n\
         metadata: {{name: crowd}}\n\
         spec:\n  \
           endpointSelector: {{matchLabels: {{app: crowd}}}}\n  \
           ingress:\n  \
           - fromEndpoints: [{{matchLabels: {{role: client}}}}]\n    \
             toPorts:\n    \
             - ports: [{{port: \"11211\", protocol: TCP}}]\n      \
               rules: {{l7proto: memcache, l7: [{{command: get, keyPrefix: \"{}\"}}]}}\n",
        mark(change)
    )
}

fn mark(change: usize) -> String {
    format!("{MARK}{change:0DIGITS$}")
}

/// The change that a policy on the wire tells of.
fn marked(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
    let digits = bytes.get(at + MARK.len()..at + MARK.len() + DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Fails with what is still missing at the deadline.
fn in_time(deadline: Instant, missing: usize, change: usize) -> Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    ensure!(!left.is_zero(), "change {change} did not reach {missing} sidecars in {PATIENCE:?}");
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_found_in_what_is_sent() {
        assert_eq!(marked(policy(17).as_bytes()), Some(17));
        assert_eq!(marked(b"\x0a\x0dchange-000003\x12"), Some(3));
        for other in ["", "change-", "change-00000", "change-00000x"] {
            assert_eq!(marked(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn pods_have_addresses_of_their_own() {
        let text = pods(600);
        let mut addresses: Vec<_> = text.lines().filter(|line| line.contains("podIPs")).collect();
        assert_eq!(addresses.len(), 600);
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 600);
    }
}
