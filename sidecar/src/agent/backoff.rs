//! Pauses that grow, never quite the same for two sidecars.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// Doubles from `first` to `last`.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, next: first }
    }

    /// Things went well.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause: between half and all of what it is by now.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.last);
        // A hasher's keys are random enough to keep sidecars out of step.
        let per_mille = RandomState::new().hash_one(()) % 501;
        let share = u32::try_from(per_mille).unwrap_or_default();
        whole / 2 + whole.saturating_mul(share) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_and_start_anew() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 4 * second);
        for whole in [1, 2, 4, 4] {
            let pause = backoff.next();
            assert!(pause >= whole * second / 2 && pause <= whole * second, "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= second);
    }
}
