//! What is known of the other end of a connection, and how long it may stay.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::accept::Place;
use crate::server::connection::Visit;
use crate::server::feed::{Feed, Subject};

/// How many refused streams a connection survives.
const MAX_REFUSALS: u32 = 16;

/// One connection, as its streams know it.
#[derive(Debug)]
pub(in crate::server) struct Visitor {
    /// Where it comes from.
    pub(super) source: IpAddr,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    /// Its place among the strangers, until it has shown whose it is.
    place: Option<Place>,
    /// Whose it is, and its place among the connections of that pod or node.
    subject: Option<(Subject, OwnedSemaphorePermit)>,
    streams: u32,
    refusals: u32,
    /// Since when there has been no stream.
    idle_since: Instant,
}

/// A stream that was let in.
#[derive(Debug)]
pub(super) struct Stay(Arc<Visitor>);

impl Visitor {
    pub(super) fn new(source: IpAddr, place: Place) -> Arc<Self> {
        let book = Book {
            place: Some(place),
            subject: None,
            streams: 0,
            refusals: 0,
            idle_since: Instant::now(),
        };
        Arc::new(Self { source, book: Mutex::new(book) })
    }

    /// A stream was refused.
    pub(super) fn refuse(&self) {
        let mut book = self.lock();
        book.refusals = book.refusals.saturating_add(1);
    }

    /// A stream has shown that it is this pod's.
    pub(super) fn enter(self: &Arc<Self>, feed: &Feed) -> Result<Stay, Status> {
        let mut book = self.lock();
        match &book.subject {
            Some((subject, _)) if *subject == feed.subject => {}
            Some(_) => {
                return Err(Status::permission_denied("this connection is another pod's already"));
            }
            None => {
                let permit = Arc::clone(&feed.connections).try_acquire_owned().map_err(|_| {
                    Status::resource_exhausted("this pod has too many connections open")
                })?;
                book.subject = Some((feed.subject.clone(), permit));
                book.place = None;
            }
        }
        book.streams = book.streams.saturating_add(1);
        drop(book);
        Ok(Stay(Arc::clone(self)))
    }

    /// Until when it may stay as it is now; none: as long as it likes.
    fn deadline(&self, idle: Duration) -> Option<Instant> {
        let book = self.lock();
        if book.refusals > MAX_REFUSALS {
            return Some(book.idle_since);
        }
        (book.streams == 0).then(|| book.idle_since + idle)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stay {
    pub(super) fn visitor(&self) -> &Visitor {
        &self.0
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut book = self.0.lock();
        book.streams = book.streams.saturating_sub(1);
        book.idle_since = Instant::now();
    }
}

/// The connection's own end of it.
#[derive(Debug)]
pub(super) struct Guest {
    visitor: Arc<Visitor>,
    idle: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl Guest {
    pub(super) fn new(visitor: Arc<Visitor>, idle: Duration) -> Self {
        Self { visitor, idle, alarm: Box::pin(sleep_until(Instant::now() + idle)) }
    }
}

impl Visit for Guest {
    type Info = Arc<Visitor>;

    fn info(&self) -> Arc<Visitor> {
        Arc::clone(&self.visitor)
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The end of a stream is written to the peer, which wakes the connection.
        let Some(deadline) = self.visitor.deadline(self.idle) else { return Poll::Pending };
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm.as_mut().poll(context)
    }
}
