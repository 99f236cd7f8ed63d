//! Who is let in, to what, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Request, Status};

use super::identity::{self, Identity, Refusal};
use super::pods::{self, Directory};
use super::visitor::{Stay, Visitor};
use super::{Limits, TokenReviews};
use crate::server::Counters;
use crate::server::feed::Feed;

/// How long until the API server is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Stands between a stream's request and its pod's slice.
#[derive(Debug)]
pub(in crate::server) struct Door {
    reviews: TokenReviews,
    pods: Directory,
    limits: Limits,
    counters: Arc<Counters>,
}

/// A stream that was let in. Not to be shown: it holds the token.
pub(in crate::server) struct Admission {
    door: Arc<Door>,
    feed: Arc<Feed>,
    stay: Stay,
    token: String,
    identity: Identity,
}

impl Door {
    pub(super) fn new(
        reviews: TokenReviews,
        pods: Directory,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        Self { reviews, pods, limits, counters }
    }

    /// Lets a stream in by its token alone: what the request says of itself,
    /// its node's id above all, has no part in it.
    pub(in crate::server) async fn admit<T>(
        self: &Arc<Self>,
        request: &Request<T>,
    ) -> Result<Admission, Status> {
        let Some(visitor) = request.extensions().get::<Arc<Visitor>>() else {
            return Err(Status::internal("a connection without a visitor; this is a bug"));
        };
        let admission = self.admit_visitor(visitor, request).await;
        if admission.is_err() {
            visitor.refuse();
        }
        admission
    }

    async fn admit_visitor<T>(
        self: &Arc<Self>,
        visitor: &Arc<Visitor>,
        request: &Request<T>,
    ) -> Result<Admission, Status> {
        let token = identity::token(request.metadata())?.to_owned();
        let identity = self.review(&token, visitor).await?;
        let feed = pods::find(&self.pods, &identity)?;
        let stay = visitor.enter(&feed)?;
        Ok(Admission { door: Arc::clone(self), feed, stay, token, identity })
    }

    async fn review(&self, token: &str, visitor: &Visitor) -> Result<Identity, Refusal> {
        self.reviews.review(token, visitor.source, &self.limits, &self.counters).await
    }
}

impl Admission {
    pub(in crate::server) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Ends when the token no longer counts. That the API server cannot be asked
    /// ends nothing until the token would be over at the latest.
    pub(in crate::server) async fn is_over(&self) -> Status {
        let limits = &self.door.limits;
        let mut reviewed = Instant::now();
        let mut pause = limits.review_again;
        loop {
            tokio::time::sleep(pause).await;
            match self.door.review(&self.token, self.stay.visitor()).await {
                Ok(identity) if identity == self.identity => {
                    reviewed = Instant::now();
                    pause = limits.review_again;
                }
                Ok(_) => return Status::permission_denied("the token is another pod's by now"),
                Err(Refusal::Unavailable(_) | Refusal::Throttled)
                    if reviewed.elapsed() < limits.unreviewed =>
                {
                    pause = ASK_AGAIN.min(limits.review_again);
                }
                Err(refusal) => return refusal.into(),
            }
        }
    }
}
