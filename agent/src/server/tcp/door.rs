//! Who is let in, to what, and for how long.
//!
//! A token is its pod's. One alone may ask for others: that of the proxy of
//! their node, by the account that the installation names for it.

use std::sync::Arc;
use std::time::Duration;

use remora_api::POD_HEADER;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::account::{NodeAccount, asked_for};
use super::identity::{self, Identity, Refusal};
use super::nodes::Nodes;
use super::pods::{self, Directory};
use super::visitor::{Stay, Visitor};
use super::{Config, Limits, TokenReviews};
use crate::server::Counters;
use crate::server::feed::{Feed, Kind};

/// How long until the API server is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Stands between a stream's request and its pod's slice.
#[derive(Debug)]
pub(in crate::server) struct Door {
    reviews: TokenReviews,
    pods: Directory,
    /// Whom a node's account asks about; nobody, where there is no such account.
    nodes: Arc<Nodes>,
    account: Option<NodeAccount>,
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
    pub(super) fn new(config: Config, pods: Directory, nodes: Arc<Nodes>) -> Self {
        let Config { reviews, limits, counters, node_account: account, tls: _ } = config;
        Self { reviews, pods, nodes, account, limits, counters }
    }

    /// Lets a stream in by its token alone: what the request says of itself,
    /// its node's id above all, has no part in it. To a node's proxy it may say
    /// which of that node's pods it is about.
    pub(in crate::server) async fn admit<T>(
        self: &Arc<Self>,
        kind: Kind,
        request: &Request<T>,
    ) -> Result<Admission, Status> {
        let Some(visitor) = request.extensions().get::<Arc<Visitor>>() else {
            return Err(Status::internal("a connection without a visitor; this is a bug"));
        };
        let admission = self.admit_visitor(visitor, kind, request).await;
        if admission.is_err() {
            visitor.refuse();
        }
        admission
    }

    async fn admit_visitor<T>(
        self: &Arc<Self>,
        visitor: &Arc<Visitor>,
        kind: Kind,
        request: &Request<T>,
    ) -> Result<Admission, Status> {
        let token = identity::token(request.metadata())?.to_owned();
        let identity = self.review(&token, visitor).await?;
        let feed = self.feed(kind, &identity, request.metadata())?;
        let stay = visitor.enter(&feed)?;
        Ok(Admission { door: Arc::clone(self), feed, stay, token, identity })
    }

    /// What this is about.
    fn feed(
        &self,
        kind: Kind,
        identity: &Identity,
        metadata: &MetadataMap,
    ) -> Result<Arc<Feed>, Status> {
        let account = self.account.as_ref().filter(|account| account.is(identity));
        match (kind, account) {
            (Kind::Endpoints, Some(account)) => Ok(self.nodes.feed(account.node(identity)?)),
            (Kind::Endpoints, None) => Err(Status::permission_denied(
                "the token is not of the account that --node-account of the agent names",
            )),
            (_, Some(account)) if metadata.contains_key(POD_HEADER) => {
                let (key, uid) = asked_for(metadata)?;
                self.nodes.pod(account.node(identity)?, (key, &uid), &self.pods)
            }
            _ => pods::find(&self.pods, identity),
        }
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
