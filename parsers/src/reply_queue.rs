//! The replies that are still to come, for protocols that answer in order.

use std::{borrow::Cow, collections::VecDeque};

use crate::contract::{Direction, Op};

/// Replies in the order of their requests: the server's, and our denials
/// between them.
#[derive(Debug)]
pub(crate) struct ReplyQueue<R> {
    queue: VecDeque<Queued<R>>,
    cap: usize,
}

#[derive(Debug)]
enum Queued<R> {
    /// The server's reply, and what is known of it.
    Server(R),
    /// Ours: the request was denied.
    Denial(Cow<'static, [u8]>),
}

impl<R> ReplyQueue<R> {
    /// A queue of at most `cap` replies.
    pub(crate) const fn new(cap: usize) -> Self {
        Self { queue: VecDeque::new(), cap }
    }

    /// The denial whose turn it is: all replies before it have been passed.
    pub(crate) fn due(&mut self) -> Option<Op> {
        match self.queue.pop_front_if(|next| matches!(next, Queued::Denial(_)))? {
            Queued::Denial(data) => Some(Op::Inject { into: Direction::Reply, data }),
            Queued::Server(_) => None,
        }
    }

    /// Whether no reply is to come.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a further request has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.cap
    }

    /// A request was passed: its reply will come.
    pub(crate) fn expect(&mut self, reply: R) {
        self.queue.push_back(Queued::Server(reply));
    }

    /// A request was denied: its reply is ours, and reads `data`.
    pub(crate) fn deny(&mut self, data: impl Into<Cow<'static, [u8]>>) {
        self.queue.push_back(Queued::Denial(data.into()));
    }

    /// The reply that the server is giving now, or should be.
    pub(crate) fn current(&mut self) -> Option<&mut R> {
        match self.queue.front_mut() {
            Some(Queued::Server(reply)) => Some(reply),
            Some(Queued::Denial(_)) | None => None,
        }
    }

    /// The last reply that was queued, where it is the server's.
    pub(crate) fn last(&mut self) -> Option<&mut R> {
        match self.queue.back_mut() {
            Some(Queued::Server(reply)) => Some(reply),
            Some(Queued::Denial(_)) | None => None,
        }
    }

    /// The server's reply is complete.
    pub(crate) fn complete(&mut self) {
        self.queue.pop_front();
    }
}
