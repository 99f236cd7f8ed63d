//! Faults of many kinds, one after the other, while clients ask: nothing passes
//! that policy forbids, nobody gets another's reply, and soon all is well again.
//!
//! What reaches the server is judged by a recorder of its own, which knows the
//! policy only as "keys that begin so, from that client". A run is repeated by
//! its seed: `REMORA_CHAOS_SEED`.

mod faults;
mod load;
mod recorder;
mod weather;

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use self::{
    faults::{KINDS, Kind, World},
    recorder::Recorder,
};
use crate::{
    by_hand::ByHand,
    stage::{POLICY, Stage, eventually},
};

/// Where the recorder listens: memcached itself stays out of this.
const PORT: u16 = 11212;

/// From the end of a fault to the next right answer on a new connection.
const RECOVERY: Duration = Duration::from_secs(2);

/// How many faults there are, and how many with `--full`.
const FAULTS: usize = 200;
const FAULTS_FULL: usize = 1000;

/// What went wrong, by whoever saw it.
#[derive(Clone, Default)]
struct Verdicts(Arc<Mutex<Vec<String>>>);

impl Verdicts {
    fn add(&self, what: String) {
        self.0.lock().expect("verdicts").push(what);
    }

    fn check(&self, when: &str) {
        let found = self.0.lock().expect("verdicts");
        assert!(found.is_empty(), "{when}: {found:#?}");
    }
}

/// The policy that every version of it says the same of: `role: client` may
/// get what begins with `pub:`. The versions differ in what nobody asks for.
fn policy(version: u64) -> String {
    let policy = POLICY.replace("\"11211\"", &format!("\"{PORT}\""));
    format!("{policy}        - command: get\n          keyPrefix: \"other-{version}:\"\n")
}

#[test]
fn faults_break_nothing_that_policy_promises() {
    let seed = env::var("REMORA_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let faults = if env::var_os("REMORA_FULL").is_some() { FAULTS_FULL } else { FAULTS };
    println!("chaos: {faults} faults, REMORA_CHAOS_SEED={seed}");
    let mut rng = Rng::with_seed(seed);

    let stage = Stage::set();
    stage.write_policy("cache.yaml", &policy(0));
    let (client, outsider) = stage.client_and_outsider();
    let by_hand = ByHand::set(&stage, &[]).with("REMORA_PEER_SECONDS", "1");
    let verdicts = Verdicts::default();
    let recorder = Recorder::start(&by_hand.cache, &verdicts);
    let sidecar = by_hand.start(&[]);
    let stop = AtomicBool::new(false);
    let mut world = World { stage, by_hand, sidecar, recorder, versions: 0, probes: 0 };
    eventually("it serves", || world.probe(&client, &verdicts));

    let to = world.address();
    let (slowest, counts, answered) = thread::scope(|scope| {
        let load: Vec<_> = (0..2)
            .map(|n| {
                let (client, verdicts, stop) = (&client, &verdicts, &stop);
                scope.spawn(move || load::client(client, to, n, verdicts, stop))
            })
            .collect();
        let prying = scope.spawn(|| load::outsider(&outsider, to, &verdicts, &stop));
        // However this ends, the load does.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(&mut world, &client, &mut rng, faults, &verdicts)
        }));
        stop.store(true, Ordering::Relaxed);
        let answered: usize = load.into_iter().map(|load| load.join().expect("no panic")).sum();
        let tried = prying.join().expect("no panic");
        assert!(tried > 0, "the outsider never tried");
        let (slowest, counts) = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (slowest, counts, answered)
    });
    verdicts.check("in the end");
    println!(
        "chaos: {faults} faults of {} kinds, {answered} answers to the load, {} requests at the \
         server, slowest recovery {slowest:?}: {counts:?}",
        counts.len(),
        world.recorder.requests(),
    );
    assert!(counts.len() >= 8, "{counts:?}");
    assert!(answered > faults, "{answered} answers are no load");
}

/// Brings about the faults, each with its recovery.
fn run(
    world: &mut World,
    client: &remora_netns::Pod,
    rng: &mut Rng,
    faults: usize,
    verdicts: &Verdicts,
) -> (Duration, BTreeMap<Kind, usize>) {
    let (mut slowest, mut counts) = (Duration::ZERO, BTreeMap::new());
    for number in 0..faults {
        let kind = KINDS[rng.usize(..KINDS.len())];
        *counts.entry(kind).or_insert(0) += 1;
        world.bring_about(kind, client, rng, verdicts);
        let begun = Instant::now();
        eventually("all is well again", || world.probe(client, verdicts));
        let recovery = begun.elapsed();
        assert!(recovery < RECOVERY, "fault {number}, {kind:?}: recovered after {recovery:?}");
        slowest = slowest.max(recovery);
        verdicts.check(&format!("fault {number}, {kind:?}"));
    }
    (slowest, counts)
}
