//! How many tokens a source may have reviewed: the API server is everybody's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::server::bucket::{Bucket, Rate};

/// A node's pods may all come from its address, and all at once.
const REVIEWS: Rate = Rate { burst: 512, per_second: 16 };
/// What a review costs that ends in a refusal, beside its own one.
const REFUSED: u32 = 31;
/// How many sources are remembered.
const MAX_SOURCES: usize = 16_384;

/// A bucket for each source that has used some of it.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Bucket>>);

impl Throttle {
    /// Whether this source may have a token reviewed now.
    pub(super) fn admits(&self, source: IpAddr, now: Instant) -> bool {
        self.with(source, now, |bucket| bucket.take(1, now)).unwrap_or(false)
    }

    /// Notes that its token did not count.
    pub(super) fn refused(&self, source: IpAddr, now: Instant) {
        self.with(source, now, |bucket| bucket.charge(REFUSED, now));
    }

    /// None when there are more sources than can be told apart.
    fn with<T>(
        &self,
        source: IpAddr,
        now: Instant,
        act: impl FnOnce(&mut Bucket) -> T,
    ) -> Option<T> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_SOURCES && !buckets.contains_key(&source) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= MAX_SOURCES {
                return None;
            }
        }
        Some(act(buckets.entry(source).or_insert_with(|| Bucket::new(REVIEWS, now))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn refusals_cost_a_source_its_reviews_and_no_other() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let [bad, good] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let mut reviews = 0;
        while throttle.admits(bad, start) {
            throttle.refused(bad, start);
            reviews += 1;
        }
        assert_eq!(reviews, 16);
        assert!(throttle.admits(good, start));
        assert!((0..511).all(|_| throttle.admits(good, start)) && !throttle.admits(good, start));
        assert!(throttle.admits(bad, start + Duration::from_secs(1)));
    }

    #[test]
    fn sources_beyond_those_remembered_wait_for_others_to_be_forgotten() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let source = |number: usize| {
            IpAddr::from(u32::try_from(number).expect("a small number").to_be_bytes())
        };
        assert!((0..MAX_SOURCES).all(|number| throttle.admits(source(number), start)));
        assert!(!throttle.admits(source(MAX_SOURCES), start));
        assert!(throttle.admits(source(0), start), "who is known is not affected");
        let later = start + Duration::from_secs(1);
        assert!(throttle.admits(source(MAX_SOURCES), later));
    }
}
