//! The replies that are still to come, for protocols that answer in order.

use std::{borrow::Cow, collections::VecDeque};

use crate::contract::{Direction, Op};

/// Replies in the order of their requests: the server's, and our denials
/// between them.
#[derive(Debug)]
pub(crate) struct ReplyQueue<R> {
    queue: VecDeque<Queued<R>>,
    cap: usize,
    denied: &'static [u8],
}

#[derive(Debug)]
enum Queued<R> {
    /// The server's reply, and what is known of it.
    Server(R),
    /// Ours: the request was denied.
    Denial,
}

impl<R> ReplyQueue<R> {
    /// A queue of at most `cap` replies, in which a denial reads `denied`.
    pub(crate) const fn new(cap: usize, denied: &'static [u8]) -> Self {
        Self { queue: VecDeque::new(), cap, denied }
    }

    /// The denial whose turn it is: all replies before it have been passed.
    pub(crate) fn due(&mut self) -> Option<Op> {
        self.queue.pop_front_if(|next| matches!(next, Queued::Denial))?;
        Some(Op::Inject { into: Direction::Reply, data: Cow::Borrowed(self.denied) })
    }

    /// Whether a further request has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.cap
    }

    /// A request was passed: its reply will come.
    pub(crate) fn expect(&mut self, reply: R) {
        self.queue.push_back(Queued::Server(reply));
    }

    /// A request was denied: its reply is ours.
    pub(crate) fn deny(&mut self) {
        self.queue.push_back(Queued::Denial);
    }

    /// The reply that the server is giving now, or should be.
    pub(crate) fn current(&self) -> Option<&R> {
        match self.queue.front() {
            Some(Queued::Server(reply)) => Some(reply),
            Some(Queued::Denial) | None => None,
        }
    }

    /// The server's reply is complete.
    pub(crate) fn complete(&mut self) {
        self.queue.pop_front();
    }
}
