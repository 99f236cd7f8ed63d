//! Times two things in turns, so that whatever else the machine does happens
//! to both.

use std::time::{Duration, Instant};

/// Turns. What is told is the quarter that was least disturbed.
const ROUNDS: usize = 401;

/// How long each is done in a turn: well below a time slice.
const TURN: Duration = Duration::from_micros(20);

/// What one and the other take, in nanoseconds: the lower quartiles.
pub(crate) fn compare(one: impl Fn(), other: impl Fn()) -> (f64, f64) {
    let once = time(&one, 10).min(time(&one, 10));
    let times = (TURN.as_secs_f64() * 1e9 / once).clamp(1.0, 100.0) as u32;
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ones.push(time(&one, times));
        others.push(time(&other, times));
    }
    (quartile(ones), quartile(others))
}

fn time(what: &impl Fn(), times: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        what();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

fn quartile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}
