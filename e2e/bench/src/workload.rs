//! The loads that every partner carries in turn.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    load::{Direction, Meter, Outcome, Pace, Plan, Script, Window, bulk, drive},
    partner::{Protocol, Runner, SMALL},
    results::{Better, DIRECT, Figure, Results, percentile},
};

/// The size of large values, in bytes.
pub(crate) const LARGE: usize = 100_000;

/// The shares of all requests whose latency is told.
const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// A load with a name.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) protocol: Protocol,
    load: Load,
}

enum Load {
    Requests { script: fn(usize) -> Script, size: usize, connections: usize, pace: Pace },
    Bulk(Direction),
}

/// All workloads, in the order of the report.
pub(crate) fn all() -> Vec<Workload> {
    const ONE: Pace = Pace::Closed { depth: 1 };
    let memcached = |name, title, script, size, connections, pace| Workload {
        name,
        title,
        protocol: Protocol::Memcached,
        load: Load::Requests { script, size, connections, pace },
    };
    let (get, set) = (Script::memcached_get, Script::memcached_set);
    let bulk = |name, title, direction| Workload {
        name,
        title,
        protocol: Protocol::Bulk,
        load: Load::Bulk(direction),
    };
    vec![
        memcached("get", "memcached get, 100 bytes", get, SMALL, 32, ONE),
        memcached("set", "memcached set, 100 bytes", set, SMALL, 32, ONE),
        memcached("get-100k", "memcached get, 100 KB", get, LARGE, 8, ONE),
        memcached("set-100k", "memcached set, 100 KB", set, LARGE, 8, ONE),
        memcached(
            "pipelined",
            "memcached get, 16 at once",
            get,
            SMALL,
            8,
            Pace::Closed { depth: 16 },
        ),
        Workload {
            name: "redis",
            title: "Redis GET, 100 bytes, through L4",
            protocol: Protocol::Redis,
            load: Load::Requests {
                script: Script::redis_get,
                size: SMALL,
                connections: 32,
                pace: ONE,
            },
        },
        memcached("connections", "a new connection for each get", get, SMALL, 16, Pace::Reconnect),
        memcached(
            "at-2000",
            "latency at 2,000 gets/s",
            get,
            SMALL,
            32,
            Pace::Fixed { per_second: 2000 },
        ),
        memcached(
            "at-5000",
            "latency at 5,000 gets/s",
            get,
            SMALL,
            32,
            Pace::Fixed { per_second: 5000 },
        ),
        bulk("bulk-up", "bytes to the server", Direction::Up),
        bulk("bulk-down", "bytes from the server", Direction::Down),
    ]
}

impl Workload {
    /// Puts the load on a partner.
    pub(crate) fn run(&self, runner: &Runner<'_>, window: Window) -> Result<Outcome> {
        let addresses = runner.addresses(self.protocol);
        let meter: Meter<'_> = &|| runner.cpu();
        runner.in_client(|| self.load.run(&addresses, window, meter))
    }

    /// Writes down what it came to.
    pub(crate) fn record(
        &self,
        results: &mut Results,
        partner: &str,
        round: usize,
        outcome: &Outcome,
    ) {
        let is_direct = partner == DIRECT;
        let mut record = |figure: &Figure, value| results.record(figure, partner, round, value);
        match self.load {
            Load::Bulk(_) => {
                record(&self.figure("rate", "", "MB/s", Better::More), outcome.rate() / 1e6);
                if !is_direct {
                    let each = outcome.microseconds_each() * 1e6;
                    record(&self.figure("cpu", "CPU for a MB", "µs", Better::Less), each);
                }
                return;
            }
            Load::Requests { pace: Pace::Fixed { .. }, .. } => {
                for (name, share) in PERCENTILES {
                    if let Some(latency) = percentile(&outcome.latencies, share) {
                        record(&self.figure(name, name, "µs", Better::Less), microseconds(latency));
                    }
                }
            }
            Load::Requests { .. } => {
                record(&self.figure("rate", "", "/s", Better::More), outcome.rate());
            }
        }
        if !is_direct {
            let each = outcome.microseconds_each();
            record(&self.figure("cpu", "CPU of the proxy for each", "µs", Better::Less), each);
        }
    }

    /// What a proxy adds to the direct connection's latency of the same round.
    pub(crate) fn record_added(&self, results: &mut Results, partner: &str, round: usize) {
        for (name, _) in PERCENTILES {
            let id = format!("{}.{name}", self.name);
            let value = |partner| results.value(&id, partner, round);
            if let (Some(with), Some(without)) = (value(partner), value(DIRECT)) {
                let title = format!("added to {name}");
                let figure = self.figure(&format!("added-{name}"), &title, "µs", Better::Less);
                results.record(&figure, partner, round, with - without);
            }
        }
    }

    /// A line of progress.
    pub(crate) fn show(&self, outcome: &Outcome) -> String {
        match self.load {
            Load::Bulk(_) => format!("{:.0} MB/s", outcome.rate() / 1e6),
            Load::Requests { pace: Pace::Fixed { .. }, .. } => {
                let of = |share| percentile(&outcome.latencies, share).map_or(0.0, microseconds);
                format!("p50 {:.0} µs, p99 {:.0} µs", of(0.5), of(0.99))
            }
            Load::Requests { .. } => {
                format!("{:.0}/s, {:.1} µs each", outcome.rate(), outcome.microseconds_each())
            }
        }
    }

    fn figure(&self, what: &str, title: &str, unit: &'static str, better: Better) -> Figure {
        let title = if title.is_empty() {
            self.title.to_owned()
        } else {
            format!("{}: {title}", self.title)
        };
        Figure::new(&format!("{}.{what}", self.name), &title, unit, better)
    }
}

impl Load {
    fn run(&self, addresses: &[SocketAddr], window: Window, meter: Meter<'_>) -> Result<Outcome> {
        match *self {
            Self::Requests { script, size, connections, pace } => {
                let script = &script(size);
                drive(&Plan { addresses, connections, script, pace, window }, meter)
            }
            Self::Bulk(direction) => bulk(addresses[0], direction, window, meter),
        }
    }
}

pub(crate) fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_workloads_share_a_name() {
        let mut names: Vec<_> = all().iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }
}
