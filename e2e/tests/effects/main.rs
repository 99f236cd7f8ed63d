//! What the real memcached did, against what policy allows.
//!
//! Generated connections go through parser and policy, and what those pass goes
//! to a memcached of the test's own. Afterwards a second connection asks the
//! server itself which keys were read, written or lost. The parser's own idea
//! of what it allowed counts for nothing here.

mod binary;
mod connection;
mod generator;
mod mutant;
mod oracle;
mod rights;
mod server;
mod shrink;
#[path = "../support/slice.rs"]
mod slice;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use connection::{Forwarder, run};
use generator::Generator;
use oracle::Oracle;
use rights::RandomPolicy;
use server::Memcached;
use shrink::{shrink, transcript};

/// Connections in an ordinary run, and in one with `REMORA_FULL=1`.
const CONNECTIONS: (usize, usize) = (100_000, 1_000_000);

/// Within how many connections a wrong parser must be caught.
const CAUGHT_WITHIN: usize = 10_000;

/// How many connections are made under one policy.
const PER_POLICY: usize = 50;

/// Where the generator starts: `REMORA_SEED=N` replays a run.
fn seed() -> u64 {
    std::env::var("REMORA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_240_611)
}

/// The servers to test with: the installed one, and the one that
/// `REMORA_MEMCACHED_2=/path/to/memcached` names.
fn programs() -> Vec<PathBuf> {
    let second = std::env::var_os("REMORA_MEMCACHED_2").map(PathBuf::from);
    [PathBuf::from("memcached")].into_iter().chain(second).collect()
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
    /// Cases that a forwarder without a parser was given.
    blind: usize,
    /// Those in which it did what policy forbids.
    blind_violations: usize,
}

impl Tally {
    fn percent(&self, part: usize) -> usize {
        part * 100 / self.cases.max(1)
    }
}

/// A server, what asks it, and what stands before it.
struct Bench<'a> {
    server: &'a Memcached,
    oracle: Oracle,
    forwarder: &'a Forwarder,
}

impl Bench<'_> {
    /// Runs a case; says what went against policy.
    fn check(
        &mut self,
        policy: &RandomPolicy,
        case: &[Vec<u8>],
        tally: &mut Tally,
    ) -> Option<String> {
        self.oracle.seed();
        let outcome = run(self.server, self.forwarder, policy, case);
        let effects = self.oracle.effects(&outcome.from_server);
        tally.allowed_get += usize::from(effects.read_something());
        tally.allowed_write += usize::from(effects.wrote_something());
        let binary = outcome.to_server.first() == Some(&0x80);
        let violation = policy.violation(&effects, binary).or_else(|| {
            outcome.misread.map(|why| format!("the server's replies are misread: {why}"))
        })?;
        let (sent, answered) = (outcome.to_server, outcome.from_server);
        Some(format!(
            "{violation}\nserver got: {}\nserver said: {}",
            sent.escape_ascii(),
            answered[..answered.len().min(2000)].escape_ascii()
        ))
    }
}

/// A server of its own for cases that go there as they are: what they leave
/// behind, such as a flush for later, is theirs alone.
struct Blind {
    server: Memcached,
    oracle: Oracle,
}

impl Blind {
    fn start(program: &Path) -> Self {
        let server = Memcached::start(program);
        let oracle = Oracle::connect(&server);
        Self { server, oracle }
    }

    /// Whether a case does what policy forbids.
    fn forbidden(&mut self, policy: &RandomPolicy, case: &[Vec<u8>]) -> bool {
        self.oracle.seed_when_it_can();
        let outcome = run(&self.server, &Forwarder::Blind, policy, case);
        let effects = self.oracle.effects(&outcome.from_server);
        let binary = outcome.to_server.first() == Some(&0x80);
        policy.violation(&effects, binary).is_some()
    }
}

/// Runs cases until one does what its policy forbids.
fn explore(
    program: &Path,
    count: usize,
    seed: u64,
    forwarder: &Forwarder,
    blind: bool,
) -> Result<Tally, String> {
    let server = Memcached::start(program);
    let oracle = Oracle::connect(&server);
    let mut bench = Bench { server: &server, oracle, forwarder };
    let mut beside = blind.then(|| Blind::start(program));
    let mut generator = Generator::new(seed);
    let mut tally = Tally::default();
    while tally.cases < count {
        let policy = RandomPolicy::generate(&mut generator.random);
        let flushes = bench.oracle.flush_count();
        for _ in 0..PER_POLICY.min(count - tally.cases) {
            let case = generator.connection();
            tally.cases += 1;
            if let Some(violation) = bench.check(&policy, &case, &mut tally) {
                let mut again = Tally::default();
                let small =
                    shrink(&case, &mut |case| bench.check(&policy, case, &mut again).is_some());
                let small_one = bench.check(&policy, &small, &mut again);
                return Err(format!(
                    "case {} (REMORA_SEED={seed}): {}\npolicy:\n{}\n{}",
                    tally.cases,
                    small_one.unwrap_or(violation),
                    policy.yaml,
                    transcript(&small),
                ));
            }
        }
        if bench.oracle.flush_count() != flushes {
            return Err(format!(
                "a flush for later passed in one of {PER_POLICY} cases up to {} (REMORA_SEED={seed})",
                tally.cases
            ));
        }
        // One case in ten also goes to a server as it is.
        for _ in 0..if beside.is_some() { PER_POLICY / 10 } else { 0 } {
            let case = generator.connection();
            tally.blind += 1;
            let beside = beside.as_mut().map(|beside| beside.forbidden(&policy, &case));
            tally.blind_violations += usize::from(beside == Some(true));
        }
    }
    Ok(tally)
}

#[test]
fn nothing_that_policy_forbids_happens_on_the_server() {
    let (count, seed) = (connections(), seed());
    let parser = Forwarder::Parser(Box::new(remora_parsers::memcache::PROTOCOL.parser));
    for program in programs() {
        let start = Instant::now();
        let tally = explore(&program, count, seed, &parser, true)
            .unwrap_or_else(|violation| panic!("{}: {violation}", program.display()));
        let [gets, writes] =
            [tally.allowed_get, tally.allowed_write].map(|part| tally.percent(part));
        let blind = tally.blind_violations * 100 / tally.blind.max(1);
        println!(
            "{}: {count} connections (seed {seed}) in {:.1?}: {gets} % passed an allowed get, \
             {writes} % an allowed write; in {blind} % a blind forwarder would have done what \
             policy forbids",
            program.display(),
            start.elapsed()
        );
        assert!(gets >= 25, "only {gets} % of the cases passed an allowed get");
        assert!(writes >= 15, "only {writes} % of the cases passed an allowed write");
        assert!(blind >= 20, "only {blind} % of the cases held something to deny");
    }
}

/// The test would notice: threats rows 30 to 38, each got wrong once, in front
/// of every server that can be had and that it does harm to.
#[test]
fn every_wrong_parser_is_caught() {
    let mut unnoticed = Vec::new();
    for program in programs() {
        let swallows = server::swallows_rejected_values(&program);
        let harmful = |slip: &mutant::Slip| !(swallows && slip.is_about_rejected_headers());
        for slip in mutant::SLIPS.into_iter().filter(harmful) {
            let wrong = Forwarder::Parser(Box::new(move || Box::new(mutant::Mutant::new(slip))));
            match explore(&program, CAUGHT_WITHIN, seed(), &wrong, false) {
                Err(violation) => println!("{slip:?} is caught: {violation}\n"),
                Ok(_) => unnoticed.push((slip, program.clone())),
            }
        }
    }
    assert!(unnoticed.is_empty(), "unnoticed in {CAUGHT_WITHIN} cases: {unnoticed:?}");
}
