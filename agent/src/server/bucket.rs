//! How much somebody may ask of us, as a bucket that refills.

use std::time::Duration;

use tokio::time::Instant;

/// How large a bucket is and how fast it refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// What a full bucket holds.
    pub(super) burst: u32,
    /// What it regains each second.
    pub(super) per_second: u32,
}

/// A bucket, full at first.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// In thousandths.
    left: u64,
    since: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: Self::capacity(rate), since: now }
    }

    /// Takes `cost` if it is there.
    pub(super) fn take(&mut self, cost: u32, now: Instant) -> bool {
        self.refill(now);
        let left = self.left.checked_sub(u64::from(cost).saturating_mul(1000));
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Takes `cost`, or all there is.
    pub(super) fn charge(&mut self, cost: u32, now: Instant) {
        self.refill(now);
        self.left = self.left.saturating_sub(u64::from(cost).saturating_mul(1000));
    }

    /// Whether it is as good as new.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == Self::capacity(self.rate)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(u64::from(self.rate.per_second));
        self.left = self.left.saturating_add(gained).min(Self::capacity(self.rate));
        // Whole milliseconds alone were counted: the rest counts the next time.
        self.since += Duration::from_millis(millis.min(u64::from(u32::MAX)));
    }

    fn capacity(rate: Rate) -> u64 {
        u64::from(rate.burst).saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::new(Rate { burst: 3, per_second: 2 }, start);
        assert!(bucket.is_full(start));
        assert_eq!([0; 4].map(|_| bucket.take(1, start)), [true, true, true, false]);
        assert!(!bucket.take(1, after(499)) && bucket.take(1, after(500)));
        assert!(!bucket.take(2, after(1499)) && bucket.take(2, after(1500)));
        bucket.charge(9, after(1600));
        assert!(!bucket.take(1, after(2099)) && bucket.take(1, after(2100)));
        assert!(!bucket.is_full(after(3599)) && bucket.is_full(after(3600)));
        assert!(!bucket.take(4, after(100_000)), "more than it ever holds");
    }
}
