//! The worst regular expressions that are taken: how long they take to
//! compile, and to answer.

use std::{
    fs,
    time::{Duration, Instant},
};

use remora_policy::{MAX_REGEX_BYTES, Slice};

use crate::{
    ALONE, get,
    rules::{self, MANY},
};

/// What compiling a slice may take: a tenth of it and less is usual.
const COMPILE: Duration = Duration::from_secs(1);

/// What a request may take whose key makes every expression work hardest.
const DECIDE: Duration = Duration::from_millis(50);

/// How often each answers.
const TIMES: u32 = 10;

/// How long something takes: by the clock, which is told, and by what this
/// thread had of a core, which is asserted: what else the machine does is not
/// part of it. The latter is as fine as the scheduler's ticks.
struct Taken {
    clock: Duration,
    core: Duration,
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Taken) {
    let (start, core) = (Instant::now(), on_a_core());
    let made = what();
    (made, Taken { clock: start.elapsed(), core: on_a_core() - core })
}

fn on_a_core() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

/// As many of these as are taken together.
fn most(expression: impl Fn(usize) -> String) -> (usize, Slice, Taken) {
    let slice = |count| rules::expressions((0..count).map(&expression).collect());
    let (mut fits, mut too_many) = (1, MANY);
    while too_many - fits > 1 {
        let count = fits.midpoint(too_many);
        if slice(count).is_ok() { fits = count } else { too_many = count }
    }
    let (made, taken) = timed(|| slice(fits).expect("fits"));
    (fits, made, taken)
}

#[test]
fn the_worst_expressions_are_answered_in_time() {
    let _alone = ALONE.lock();
    type Kind = (&'static str, fn(usize) -> String);
    let kinds: [Kind; 4] = [
        ("long ones", |n| format!("{n:03}[a-z]{{900}}")),
        ("many ones", |n| format!("{n:03}-[a-z]+")),
        ("ones of many states", |n| format!("[ab]*a[ab]{{{}}}{n:03}", n % 200 + 10)),
        ("ones of many branches", |n| format!("(?:[ab]?){{200}}{n:03}")),
    ];
    // As long as a key may be, and unlike itself wherever one looks.
    let mut state = 1_u32;
    let key: String = (0..250)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 31 == 0 { 'a' } else { 'b' }
        })
        .collect();
    for (what, expression) in kinds {
        let (count, slice, compiled) = most(expression);
        let ((), answered) = timed(|| {
            (0..TIMES).for_each(|_| assert!(!get(&slice, 1, &key), "{what}"));
        });
        println!(
            "{count} {what}, of {} KiB at most: compiled in {:.1?}, answered in {:.1?}",
            MAX_REGEX_BYTES >> 10,
            compiled.clock,
            answered.clock / TIMES
        );
        assert!(compiled.core <= COMPILE, "{what}: {:?}", compiled.core);
        assert!(answered.core / TIMES <= DECIDE, "{what}: {:?}", answered.core / TIMES);
    }
}
