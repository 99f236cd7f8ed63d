//! What a memcached request costs: its parser alone, and under few and many
//! rules. `cargo bench -p remora-policy`
//!
//! One core, no sockets: bytes go into a driver, and what it lets pass is
//! thrown away. Each cell is the lower quartile of many rounds in which all
//! columns take turns, so that the columns can be compared.

mod cases;
mod judge;

use std::time::{Duration, Instant};

use remora_parsers::{Direction, Driver, memcache::PROTOCOL};

use cases::{Case, cases};
use judge::{Judged, key};

/// Rounds of each cell.
const ROUNDS: usize = 201;

/// How long a cell's round takes.
const ROUND: Duration = Duration::from_micros(200);

/// What each column judges with: nobody, few rules, many.
const RULES: [Option<usize>; 3] = [None, Some(10), Some(9_998)];

fn main() {
    println!(
        "{:<42} {:>7} {:>10} {:>10} {:>12} {:>7} {:>9}",
        "one request and its reply",
        "bytes",
        "parser",
        "10 rules",
        "10,000 rules",
        "growth",
        "per byte"
    );
    for make in cases() {
        // Each column asks for what its own last rule allows.
        let mut columns = RULES.map(|rules| Column::new(make(&key(rules)), Judged::by(rules)));
        let [alone, few, many] = measure(&mut columns);
        let case = &columns[2].case;
        let bytes = case.request.len() + case.reply.len();
        println!(
            "{:<42} {bytes:>7} {alone:>7.0} ns {few:>7.0} ns {many:>9.0} ns {:>6.2}× {:>6.2} ns",
            case.name,
            many / few,
            many / bytes as f64
        );
    }
}

/// One case under one judge, on a connection that stays.
struct Column {
    case: Case,
    driver: Driver,
    judge: Judged,
    /// Requests of a round.
    times: u32,
}

impl Column {
    fn new(case: Case, judge: Judged) -> Self {
        let mut column = Self { case, driver: Driver::new((PROTOCOL.parser)()), judge, times: 10 };
        let once = column.round().min(column.round());
        column.times = (ROUND.as_secs_f64() * 1e9 / once).clamp(1.0, 2_000.0) as u32;
        column
    }

    /// What one request and its reply take in this round, in nanoseconds.
    fn round(&mut self) -> f64 {
        let start = Instant::now();
        for _ in 0..self.times {
            self.once();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(self.times)
    }

    fn once(&mut self) {
        let Self { case, driver, judge, .. } = self;
        for piece in case.request.chunks(case.piece) {
            driver.data(Direction::Request, piece, judge).expect("canonical");
            driver.output(Direction::Request).clear();
        }
        if case.allowed {
            driver.data(Direction::Reply, &case.reply, judge).expect("possible");
        }
        let replied = driver.output(Direction::Reply);
        assert_eq!(replied.len(), case.reply.len(), "{}", case.name);
        replied.clear();
    }
}

/// The lower quartile of each column.
fn measure<const N: usize>(columns: &mut [Column; N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (times, column) in times.iter_mut().zip(columns.iter_mut()) {
            times.push(column.round());
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 4]
    })
}
