//! The webhook under creations: fast, also while its certificate changes.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    install::NAMESPACE,
    kubectl::{eventually, expect},
    webhook::{
        api::Api,
        chart::{Labelled, chart, counted, has_sidecar, plain},
    },
};

const SECOND: Duration = Duration::from_secs(1);
const RATE: u32 = 50;
const SECONDS: u32 = 10;
/// An answer may take longer than the next request is away.
const CALLERS: u32 = 10;

#[test]
fn fifty_creations_a_second_are_answered_within_twenty_milliseconds() {
    let stage = Labelled::set("load-rate", "enforced");
    let api = Api::open(stage.kubectl);
    let histogram = |label: &str| {
        counted(&format!("remora_injector_review_duration_seconds_bucket{{le=\"{label}\"}}"))
    };
    let before = [histogram("0.02"), histogram("+Inf")];
    let begin = Instant::now();
    thread::scope(|scope| {
        for first in 0..CALLERS {
            let (api, namespace) = (&api, &stage.namespace);
            scope.spawn(move || {
                let mut connection = api.connect();
                for n in (first..RATE * SECONDS).step_by(CALLERS as usize) {
                    let due = begin + SECOND * n / RATE;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let (status, pod) = connection.try_pod(namespace, &plain("load"));
                    assert!(status == 201 && has_sidecar(&pod), "{status} {pod}");
                }
            });
        }
    });
    let took = begin.elapsed();
    let (fast, all) = (histogram("0.02") - before[0], histogram("+Inf") - before[1]);
    println!("{all} reviews in {took:?}, {fast} of them within 20 ms");
    assert!(took < SECOND * (SECONDS + 2), "{took:?}: fewer than {RATE} a second");
    assert!(all >= f64::from(RATE * SECONDS) && fast >= all * 0.99, "{fast} of {all}");
}

/// Ends who looks at it, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The leader issues anew whenever the Secret is gone: fifty times, and no creation fails.
#[test]
fn fifty_certificates_under_creations_lose_none() {
    let stage = Labelled::set("load-certs", "enforced");
    let api = Api::open(stage.kubectl);
    let (is_over, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let secret = ["-n", NAMESPACE, "secret", "remora-injector-tls"];
    let uid = || chart().get(&secret).map(|secret| secret["metadata"]["uid"].clone());
    thread::scope(|scope| {
        let creating = scope.spawn(|| {
            let mut connection = api.connect();
            while !is_over.load(Ordering::Relaxed) {
                let (status, pod) = connection.try_pod(&stage.namespace, &plain("rotated"));
                assert!(status == 201 && has_sidecar(&pod), "{status} {pod}");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let over = Over(&is_over);
        for _ in 0..50 {
            let before = uid();
            chart()
                .run(&["-n", NAMESPACE, "delete", "secret", "remora-injector-tls"])
                .expect("deleted");
            eventually("there is another certificate", || {
                let now = uid();
                expect(now.is_some() && now != before && !creating.is_finished(), || {
                    format!("{now:?}")
                })
            });
        }
        drop(over);
        creating.join().expect("no creation failed");
    });
    println!("{} creations under fifty certificates", count.load(Ordering::Relaxed));
    assert!(count.load(Ordering::Relaxed) >= 50);
}
