//! One stream of NPDS, NPHDS, services or endpoints: what is sent when.
//!
//! When a change touches both, the sidecar hears of the new addresses first:
//! its policy waits until every hosts stream has answered, or for [`HOLD`].
//! The other way round needs no care, since identity numbers are never reused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use remora_api::discovery::{DiscoveryRequest, DiscoveryResponse};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

use super::counters::Push;
use super::exchange::{Exchange, Heard};
use super::feed::{Feed, Kind, State, Subject, Versioned};
use crate::world::Subscription;

/// How long a policy waits for the answer to the addresses that it needs.
const HOLD: Duration = Duration::from_secs(1);

/// Tells streams apart.
static STREAMS: AtomicU64 = AtomicU64::new(0);

/// One open stream.
pub(super) struct Stream {
    id: u64,
    feed: Arc<Feed>,
    exchange: Exchange,
    state: watch::Receiver<State>,
    settled: watch::Receiver<BTreeMap<u64, u64>>,
    /// Until when the change at hand is held back.
    held_until: Option<Instant>,
}

type Responses = mpsc::Sender<Result<DiscoveryResponse, Status>>;

impl Stream {
    pub(super) fn new(feed: Arc<Feed>, kind: Kind) -> Self {
        feed.opened();
        Self {
            id: STREAMS.fetch_add(1, Ordering::Relaxed),
            exchange: Exchange::new(kind),
            state: feed.state.clone(),
            settled: feed.settled_hosts.subscribe(),
            feed,
            held_until: None,
        }
    }

    /// Serves the stream to its end: the peer's, that of the pod, or `is_over`.
    pub(super) async fn run(
        mut self,
        mut requests: Streaming<DiscoveryRequest>,
        responses: Responses,
        is_over: impl Future<Output = Status>,
    ) {
        let mut gone = self.state.clone();
        let is_gone = async move { while gone.changed().await.is_ok() {} };
        let end = tokio::select! {
            biased;
            () = is_gone => Some(Status::unavailable("this pod is no longer served here")),
            () = responses.closed() => None,
            status = is_over => Some(status),
            end = self.converse(&mut requests, &responses) => end,
        };
        if let Some(status) = end {
            // A peer that left no room for it does not listen.
            let _ = responses.try_send(Err(status));
        }
    }

    async fn converse(
        &mut self,
        requests: &mut Streaming<DiscoveryRequest>,
        responses: &Responses,
    ) -> Option<Status> {
        let mut subscription = None;
        loop {
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => {
                        if let Some(end) = self.heed(&request, &mut subscription) {
                            return Some(end);
                        }
                    }
                    Ok(None) | Err(_) => return None,
                },
                () = expelled(&mut subscription) => return Some(unanswered()),
                state = self.due(), if self.exchange.is_subscribed() => {
                    let response = self.tell(&state?, subscription.as_ref())?;
                    tokio::select! {
                        sent = responses.send(Ok(response)) => sent.ok()?,
                        () = expelled(&mut subscription) => return Some(unanswered()),
                    }
                }
            }
        }
    }

    /// The response that brings the sidecar to this state.
    fn tell(
        &mut self,
        state: &State,
        subscription: Option<&Subscription>,
    ) -> Option<DiscoveryResponse> {
        let part = state.part(self.exchange.kind)?;
        if let Some((subscription, slice)) = subscription.zip(state.slice.as_ref()) {
            subscription.sent(part.version, slice);
        }
        self.feed.counters.pushed(self.exchange.kind, Push::Sent);
        Some(self.exchange.tell(part))
    }

    /// The next thing to send, when it is time to. None when the pod is gone.
    /// Nothing is lost when this is dropped before its end.
    async fn due(&mut self) -> Option<State> {
        loop {
            let state = self.state.borrow_and_update().clone();
            if !state.part(self.exchange.kind).is_some_and(|part| self.is_new(part)) {
                self.held_until = None;
                self.state.changed().await.ok()?;
                continue;
            }
            if self.is_settled(&state) {
                self.held_until = None;
                return Some(state);
            }
            let until = *self.held_until.get_or_insert_with(|| Instant::now() + HOLD);
            tokio::select! {
                changed = self.state.changed() => changed.ok()?,
                changed = self.settled.changed() => changed.ok()?,
                () = sleep_until(until) => {
                    self.held_until = None;
                    return Some(state);
                }
            }
        }
    }

    fn is_new(&self, part: &Versioned) -> bool {
        self.exchange.sent() != Some(part.version)
            && !self.feed.is_refused(self.exchange.kind, part.version)
    }

    /// Whether the addresses that belong to this state have been dealt with.
    fn is_settled(&mut self, state: &State) -> bool {
        if self.exchange.kind != Kind::Policy || self.exchange.sent().is_none() {
            return true;
        }
        let version = state.part(Kind::Hosts).map_or(0, |hosts| hosts.version);
        self.settled.borrow_and_update().values().all(|settled| *settled >= version)
    }

    /// Takes a request; gives the stream's end if it has none to offer.
    fn heed(
        &mut self,
        request: &DiscoveryRequest,
        subscription: &mut Option<Subscription>,
    ) -> Option<Status> {
        let (who, kind) = (&self.feed.subject, self.exchange.kind);
        match self.exchange.hear(request) {
            Heard::Subscribed => {
                self.settle(0);
                *subscription = self.subscribe(request);
                self.tell_held_back();
            }
            Heard::Accepted(version) => {
                self.settle(version);
                self.feed.counters.pushed(kind, Push::Accepted);
                subscription.iter().for_each(|subscription| subscription.accepted(version));
                tracing::info!("{who}: accepted {} version {version}", kind.name());
            }
            Heard::Refused(version, message) => {
                self.settle(version);
                self.feed.counters.pushed(kind, Push::Refused);
                subscription.iter().for_each(|subscription| subscription.refused(version));
                if self.feed.refuse(kind, version) {
                    let message = crate::notice::one_line(&message);
                    tracing::error!(
                        "{who}: its proxy REFUSED {} version {version}: {message}; it keeps what it had, and this version is not sent again",
                        kind.name()
                    );
                }
            }
            Heard::Stale => {}
            Heard::WrongType => {
                let text = format!("type_url must be {}", kind.url());
                return Some(Status::invalid_argument(text));
            }
        }
        None
    }

    /// Tells who waits for addresses to be forgotten that this sidecar may know some.
    fn subscribe(&self, request: &DiscoveryRequest) -> Option<Subscription> {
        let holdback = self.feed.holdback.as_ref().filter(|_| self.exchange.kind == Kind::Hosts)?;
        let Subject::Pod(_, uid) = &self.feed.subject else { return None };
        Some(holdback.subscribe(uid, !request.version_info.is_empty()))
    }

    fn settle(&self, version: u64) {
        if self.exchange.kind == Kind::Hosts {
            self.feed.settled_hosts.send_modify(|settled| {
                settled.insert(self.id, version);
            });
        }
    }

    fn tell_held_back(&self) {
        let kind = self.exchange.kind;
        let state = self.state.borrow();
        if let Some(part) = state.part(kind).filter(|part| self.feed.is_refused(kind, part.version))
        {
            tracing::warn!(
                "{}: {} version {} is not sent: its proxy has refused it; edit the policies that select the pod",
                self.feed.subject,
                kind.name(),
                part.version
            );
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.feed.closed();
        if self.exchange.kind == Kind::Hosts {
            self.feed.settled_hosts.send_modify(|settled| {
                settled.remove(&self.id);
            });
        }
    }
}

/// Ends when the sidecar has kept others waiting for too long.
async fn expelled(subscription: &mut Option<Subscription>) {
    match subscription {
        Some(subscription) => subscription.expelled().await,
        None => std::future::pending().await,
    }
}

fn unanswered() -> Status {
    Status::deadline_exceeded("addresses were sent and not answered in time; connect anew")
}
