//! How long a connection may go on without doing what it should. One timer
//! watches all of that; traffic only notes when it was.

use std::{fmt, pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The client has sent nothing at all.
    FirstByte(Duration),
    /// What was begun is not whole.
    Frame(Duration),
    /// Nobody has sent anything.
    Idle(Duration),
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstByte(limit) => write!(f, "no first byte in {} s", limit.as_secs()),
            Self::Frame(limit) => {
                write!(f, "what was begun is not whole after {} s", limit.as_secs())
            }
            Self::Idle(limit) => write!(f, "no byte in either direction for {} s", limit.as_secs()),
        }
    }
}

/// The watch over one connection.
pub(crate) struct Deadline {
    limits: Limits,
    /// Since when the client's first byte is waited for.
    first: Option<Instant>,
    /// Since when something that was begun is not whole.
    frame: Option<Instant>,
    moved: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// For a connection whose client must speak first.
    pub(crate) fn for_requests(limits: &Limits) -> Self {
        Self::new(limits, true)
    }

    /// For one of which nothing is known but its bytes.
    pub(crate) fn for_bytes(limits: &Limits) -> Self {
        Self::new(limits, false)
    }

    fn new(limits: &Limits, speaks_first: bool) -> Self {
        let now = Instant::now();
        let mut deadline = Self {
            limits: *limits,
            first: speaks_first.then_some(now),
            frame: None,
            moved: now,
            timer: Box::pin(sleep_until(now)),
        };
        let (due, _) = deadline.due();
        deadline.timer.as_mut().reset(due);
        deadline
    }

    /// Bytes have come, from the client or from its server.
    pub(crate) fn heard(&mut self, from_client: bool) {
        self.moved = Instant::now();
        if from_client {
            self.first = None;
        }
    }

    /// Whether something that was begun is not whole now.
    pub(crate) fn incomplete(&mut self, incomplete: bool) {
        if !incomplete {
            self.frame = None;
        } else if self.frame.is_none() {
            self.frame = Some(self.moved);
            let (due, _) = self.due();
            if due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
            }
        }
    }

    /// What is late next, and when.
    fn due(&self) -> (Instant, Late) {
        let Limits { first_byte, frame, idle, .. } = self.limits;
        let first = self.first.map(|since| (since + first_byte, Late::FirstByte(first_byte)));
        let begun = self.frame.map(|since| (since + frame, Late::Frame(frame)));
        let idle = (self.moved + idle, Late::Idle(idle));
        first
            .into_iter()
            .chain(begun)
            .fold(idle, |one, other| if other.0 < one.0 { other } else { one })
    }

    /// Waits until something is late.
    pub(crate) async fn passed(&mut self) -> Late {
        loop {
            self.timer.as_mut().await;
            let (due, late) = self.due();
            if due <= Instant::now() {
                return late;
            }
            self.timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_millis(2);

    fn limits() -> Limits {
        Limits {
            first_byte: 10 * SECOND,
            frame: 5 * SECOND,
            idle: 60 * SECOND,
            ..Limits::default()
        }
    }

    /// Nothing is late before `limit`, and `late` is right after it.
    async fn late_after(deadline: &mut Deadline, limit: Duration, late: Late) {
        assert!(timeout(limit - TICK, deadline.passed()).await.is_err(), "{late} comes too early");
        assert_eq!(timeout(2 * TICK, deadline.passed()).await, Ok(late));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_has_its_time_and_no_more() {
        let mut deadline = Deadline::for_requests(&limits());
        late_after(&mut deadline, 10 * SECOND, Late::FirstByte(10 * SECOND)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_has_its_time_however_it_drips() {
        let mut deadline = Deadline::for_requests(&limits());
        deadline.heard(true);
        deadline.incomplete(true);
        for _ in 0..4 {
            advance(SECOND).await;
            deadline.heard(true);
            deadline.incomplete(true);
        }
        late_after(&mut deadline, SECOND, Late::Frame(5 * SECOND)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_whole_starts_the_idle_time_anew() {
        let mut deadline = Deadline::for_requests(&limits());
        deadline.heard(true);
        deadline.incomplete(true);
        advance(4 * SECOND).await;
        deadline.heard(false);
        deadline.incomplete(false);
        late_after(&mut deadline, 60 * SECOND, Late::Idle(60 * SECOND)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn of_bytes_alone_no_first_one_is_expected() {
        let mut deadline = Deadline::for_bytes(&limits());
        advance(59 * SECOND).await;
        deadline.heard(false);
        late_after(&mut deadline, 60 * SECOND, Late::Idle(60 * SECOND)).await;
    }
}
