//! How much a connection may do before others of its thread have their turn.
//!
//! The runtime lets others run after so many reads, but one read may bring
//! thousands of requests.

use remora_parsers::Direction;
use tokio::task::yield_now;

/// Bytes of requests in a turn: a hundred and sixty of the smallest, or less
/// than a millisecond.
pub const REQUEST_QUANTUM: usize = 4 << 10;

/// Bytes of replies in a turn. They are looked at, but not judged; of large
/// ones next to nothing is looked at.
pub const REPLY_QUANTUM: usize = 128 << 10;

/// Bytes in a turn that nobody looks at.
pub const MOVED_QUANTUM: usize = 1 << 20;

/// What a connection has used of its turn, in bytes that nobody looks at: each
/// of another kind counts for so many of them as it may have fewer.
#[derive(Debug, Default)]
pub(crate) struct Quantum {
    used: usize,
}

impl Quantum {
    /// The most bytes to look at in one read.
    pub(crate) fn of(direction: Direction) -> usize {
        match direction {
            Direction::Request => REQUEST_QUANTUM,
            Direction::Reply => REPLY_QUANTUM,
        }
    }

    /// Bytes were looked at.
    pub(crate) fn looked_at(&mut self, direction: Direction, bytes: usize) {
        self.moved(bytes.saturating_mul(MOVED_QUANTUM / Self::of(direction)));
    }

    /// Bytes were moved that nobody looked at.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }

    /// The connection waits, so others have their turn.
    pub(crate) fn renew(&mut self) {
        self.used = 0;
    }

    /// Lets others run, once the turn is used up.
    pub(crate) async fn end_turn(&mut self) {
        if self.used >= MOVED_QUANTUM {
            self.renew();
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    /// Whether the turn is over.
    fn is_over(quantum: &mut Quantum) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(quantum.end_turn()).poll(&mut cx) {
            Poll::Pending => true,
            Poll::Ready(()) => false,
        }
    }

    fn after(use_up: impl FnOnce(&mut Quantum)) -> bool {
        let mut quantum = Quantum::default();
        use_up(&mut quantum);
        is_over(&mut quantum)
    }

    #[test]
    fn a_turn_ends_at_its_quantum_and_not_before() {
        for (direction, most) in
            [(Direction::Request, REQUEST_QUANTUM), (Direction::Reply, REPLY_QUANTUM)]
        {
            assert!(!after(|turn| turn.looked_at(direction, most - 1)), "{direction:?}");
            assert!(after(|turn| turn.looked_at(direction, most)), "{direction:?}");
        }
        assert!(!after(|turn| turn.moved(MOVED_QUANTUM - 1)));
        assert!(after(|turn| turn.moved(MOVED_QUANTUM)));
    }

    #[test]
    fn what_is_used_adds_up_until_the_turn_ends() {
        let mut quantum = Quantum::default();
        for _ in 0..2 {
            quantum.looked_at(Direction::Request, REQUEST_QUANTUM / 2);
            quantum.looked_at(Direction::Reply, REPLY_QUANTUM / 4);
            assert!(!is_over(&mut quantum));
            quantum.moved(MOVED_QUANTUM / 4);
            assert!(is_over(&mut quantum), "half, and two quarters");
        }
        quantum.moved(MOVED_QUANTUM);
        quantum.renew();
        assert!(!is_over(&mut quantum), "who waits has not used it up");
    }
}
