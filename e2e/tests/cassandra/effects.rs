//! What the real Cassandra did, against what policy allows.
//!
//! Generated connections go through parser and policy, and what those pass goes
//! to a Cassandra of the test's own. What was read shows in its answers, by
//! marks that the values of each table carry; what was changed is asked of the
//! server over another connection. The parser's own idea of what it allowed
//! counts for nothing here.

mod connection;
mod generator;
mod mutant;
mod oracle;
mod rights;
mod session;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};

use connection::{Forwarder, run};
use generator::{Case, Generator};
use oracle::Oracle;
use rights::RandomPolicy;

use crate::server::{self, Cassandra, PORT};

/// Connections in an ordinary run, and in one with `REMORA_FULL=1`.
const CONNECTIONS: (usize, usize) = (10_000, 100_000);

/// Within how many connections a wrong parser must be caught.
const CAUGHT_WITHIN: usize = 3_000;

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
    /// Cases in which the server told of a table.
    read: usize,
    /// Groups of cases in which the server changed something.
    changed: usize,
    groups: usize,
    /// Cases in which the server owed an answer and gave none.
    silent: usize,
    blind: usize,
    blind_violations: usize,
}

/// A server, what asks it, and the cases.
struct Bench {
    address: SocketAddr,
    oracle: Oracle,
    generator: Generator,
}

impl Bench {
    fn new(address: SocketAddr, seed: u64) -> Self {
        let mut oracle = Oracle::connect(address);
        let generator = Generator::new(seed, &mut oracle);
        Self { address, oracle, generator }
    }

    /// Runs a case; says what it read against policy.
    fn reads(
        &self,
        forwarder: &Forwarder,
        policy: &RandomPolicy,
        case: &Case,
        tally: &mut Tally,
    ) -> Option<String> {
        let outcome = run(self.address, forwarder, policy, case);
        let reads = Oracle::reads(&outcome.from_server);
        tally.read += usize::from(!reads.is_empty());
        tally.silent += usize::from(outcome.silent);
        let misread = outcome.misread.map(|why| format!("the server's replies are misread: {why}"));
        policy.violation(&reads).or(misread)
    }

    /// Whether a case goes against policy, all by itself.
    fn fails(
        &mut self,
        forwarder: &Forwarder,
        policy: &RandomPolicy,
        case: &Case,
    ) -> Option<String> {
        let read = self.reads(forwarder, policy, case, &mut Tally::default());
        let changes = self.oracle.changes();
        read.or_else(|| policy.violation(&changes))
    }

    /// A group of cases under one policy.
    fn group(
        &mut self,
        forwarder: &Forwarder,
        count: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let policy = RandomPolicy::generate(&mut self.generator.random);
        let mut cases = Vec::new();
        for _ in 0..count {
            let case = self.generator.connection();
            tally.cases += 1;
            if let Some(why) = self.reads(forwarder, &policy, &case, tally) {
                return Err(self.tell(forwarder, &policy, case, why));
            }
            cases.push(case);
        }
        let changes = self.oracle.changes();
        tally.groups += 1;
        tally.changed += usize::from(!changes.is_empty());
        let Some(why) = policy.violation(&changes) else { return Ok(()) };
        // Which of them was it?
        for case in cases {
            if self.fails(forwarder, &policy, &case).is_some() {
                return Err(self.tell(forwarder, &policy, case, why));
            }
        }
        Err(format!("{why}\nby none of its group alone\npolicy:\n{}", policy.yaml))
    }

    /// A failing case, made small.
    fn tell(
        &mut self,
        forwarder: &Forwarder,
        policy: &RandomPolicy,
        case: Case,
        why: String,
    ) -> String {
        let (mut small, mut why) = (case, why);
        let mut at = 0;
        while at < small.envelopes.len() {
            let mut less = small.clone();
            less.envelopes.remove(at);
            match self.fails(forwarder, policy, &less) {
                Some(reason) => (small, why) = (less, reason),
                None => at += 1,
            }
        }
        let envelopes: Vec<_> =
            small.envelopes.iter().map(|one| format!("  {}", one.escape_ascii())).collect();
        format!("{why}\nv{}:\n{}\npolicy:\n{}", small.version, envelopes.join("\n"), policy.yaml)
    }

    /// Cases that go to the server as they are.
    fn blind(&mut self, count: usize, tally: &mut Tally) {
        let policy = RandomPolicy::generate(&mut self.generator.random);
        for _ in 0..count {
            let case = self.generator.connection();
            let violation = self.reads(&Forwarder::Blind, &policy, &case, &mut Tally::default());
            tally.blind += 1;
            tally.blind_violations += usize::from(violation.is_some());
        }
    }
}

/// Runs cases until one does what its policy forbids.
fn explore(address: SocketAddr, count: usize, forwarder: &Forwarder) -> Result<Tally, String> {
    let seed = seed();
    let mut bench = Bench::new(address, seed);
    let mut tally = Tally::default();
    while tally.cases < count {
        let cases = PER_POLICY.min(count - tally.cases);
        bench
            .group(forwarder, cases, &mut tally)
            .map_err(|why| format!("case {} (REMORA_SEED={seed}): {why}", tally.cases))?;
    }
    Ok(tally)
}

fn start(last: u8) -> (Cassandra, SocketAddr) {
    let address = Ipv4Addr::new(127, 90, 42, last);
    (server::on_loopback(address), SocketAddr::from((address, PORT)))
}

/// One server for both: it takes longest to start.
#[test]
fn nothing_that_policy_forbids_happens_and_wrong_parsers_are_caught() {
    let (_server, address) = start(1);
    let begin = Instant::now();
    let parser = Forwarder::Parser(Box::new(remora_parsers::cassandra::PROTOCOL.parser));
    let tally = explore(address, connections(), &parser).unwrap_or_else(|why| panic!("{why}"));
    let percent = |part: usize, whole: usize| part * 100 / whole.max(1);
    let (read, changed) = (percent(tally.read, tally.cases), percent(tally.changed, tally.groups));
    println!(
        "{} connections (seed {}) in {:.1?}: {read} % read something, {changed} % of the groups \
         wrote something, {} waited for an answer in vain",
        tally.cases,
        seed(),
        begin.elapsed(),
        tally.silent
    );
    assert!(read >= 25, "only {read} % of the cases read what they may");
    assert!(changed >= 30, "only {changed} % of the groups wrote what they may");
    assert!(tally.silent * 100 <= tally.cases, "{} cases in silence", tally.silent);

    let mut unnoticed = Vec::new();
    for slip in mutant::SLIPS {
        let wrong = Forwarder::Parser(Box::new(move || Box::new(mutant::Mutant::new(slip))));
        match explore(address, CAUGHT_WITHIN, &wrong) {
            Err(violation) => println!("{slip:?} is caught: {violation}\n"),
            Ok(_) => unnoticed.push(slip),
        }
    }
    // Last, for nothing keeps what is malformed from the server; and by what is
    // read alone, for it may not be fit to be asked afterwards.
    let mut bench = Bench::new(address, seed());
    let mut tally = Tally::default();
    (0..4).for_each(|_| bench.blind(PER_POLICY, &mut tally));
    let blind = percent(tally.blind_violations, tally.blind);
    println!("in {blind} % a blind forwarder would have read what policy forbids");
    assert!(blind >= 10, "only {blind} % of the cases read something to deny");

    println!("all of it took {:.1?}", begin.elapsed());
    assert!(unnoticed.is_empty(), "unnoticed in {CAUGHT_WITHIN} cases: {unnoticed:?}");
}
