//! What the real memcached did, against what policy allows.
//!
//! Generated connections go through parser and policy, and what those pass goes
//! to a memcached of the test's own. Afterwards a second connection asks the
//! server itself which keys were read, written or lost. The parser's own idea
//! of what it allowed counts for nothing here.

mod connection;
mod generator;
mod mutant;
mod oracle;
mod rights;
mod server;

use std::time::Instant;

use connection::{Forwarder, run};
use generator::Generator;
use oracle::Oracle;
use rights::RandomPolicy;
use server::Memcached;

/// Connections in an ordinary run, and in one with `REMORA_FULL=1`.
const CONNECTIONS: (usize, usize) = (10_000, 1_000_000);

/// How many connections are made under one policy.
const PER_POLICY: usize = 50;

/// Where the generator starts: `REMORA_SEED=N` replays a run.
fn seed() -> u64 {
    std::env::var("REMORA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_240_611)
}

fn connections() -> usize {
    if std::env::var_os("REMORA_FULL").is_some() { CONNECTIONS.1 } else { CONNECTIONS.0 }
}

/// What a run has seen.
#[derive(Default, Debug)]
struct Tally {
    cases: usize,
    /// Cases in which the server answered a get that policy allows.
    allowed_get: usize,
    /// Cases in which the server changed a key that policy lets be changed.
    allowed_write: usize,
    /// Cases in which a forwarder that looks at nothing does what policy forbids.
    blind_violations: usize,
}

impl Tally {
    fn percent(&self, part: usize) -> usize {
        part * 100 / self.cases.max(1)
    }
}

/// Runs cases until one does what its policy forbids.
fn explore(count: usize, seed: u64, forwarder: &Forwarder, blind: bool) -> Result<Tally, String> {
    let server = Memcached::start();
    let mut oracle = Oracle::connect(&server);
    let mut generator = Generator::new(seed);
    let mut tally = Tally::default();
    while tally.cases < count {
        let policy = RandomPolicy::generate(&mut generator.random);
        for _ in 0..PER_POLICY.min(count - tally.cases) {
            let case = generator.connection();
            tally.cases += 1;
            oracle.seed();
            let outcome = run(&server, forwarder, &policy, &case);
            let effects = oracle.effects(&outcome.from_server);
            if let Some(violation) = policy.violation(&effects) {
                return Err(format!(
                    "case {} (REMORA_SEED={seed}): {violation}\npolicy:\n{}\nclient sent: {}\nserver got: {}",
                    tally.cases,
                    policy.yaml,
                    case.concat().escape_ascii(),
                    outcome.to_server.escape_ascii(),
                ));
            }
            tally.allowed_get += usize::from(effects.read_something());
            tally.allowed_write += usize::from(effects.wrote_something());
            if blind {
                oracle.seed();
                let outcome = run(&server, &Forwarder::Blind, &policy, &case);
                let effects = oracle.effects(&outcome.from_server);
                tally.blind_violations += usize::from(policy.violation(&effects).is_some());
            }
        }
    }
    Ok(tally)
}

#[test]
fn nothing_that_policy_forbids_happens_on_the_server() {
    let (count, seed, start) = (connections(), seed(), Instant::now());
    let tally =
        explore(count, seed, &Forwarder::Parser(remora_parsers::memcache::PROTOCOL.parser), true)
            .unwrap_or_else(|violation| panic!("{violation}"));
    let [gets, writes, blind] = [tally.allowed_get, tally.allowed_write, tally.blind_violations]
        .map(|part| tally.percent(part));
    println!(
        "{count} connections (seed {seed}) in {:.1?}: {gets} % passed an allowed get, {writes} % an \
         allowed write; in {blind} % a blind forwarder would have done what policy forbids",
        start.elapsed()
    );
    assert!(gets >= 30, "only {gets} % of the cases passed an allowed get");
    assert!(writes >= 20, "only {writes} % of the cases passed an allowed write");
    assert!(blind >= 20, "only {blind} % of the cases held something to deny");
}

/// The test would notice: a parser that also splits words at tabs is caught.
#[test]
fn a_parser_that_splits_on_tabs_is_caught() {
    let wrong = Forwarder::Parser(|| Box::new(mutant::SplitsOnTabs));
    let violation =
        explore(CONNECTIONS.0, seed(), &wrong, false).expect_err("the wrong parser went unnoticed");
    println!("caught: {violation}");
}
