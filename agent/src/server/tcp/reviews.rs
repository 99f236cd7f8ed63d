//! Tokens, reviewed by the API server, and the answers that are still fresh.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use tokio::time::{Instant, timeout};

use super::identity::{Identity, Refusal};
use super::throttle::Throttle;
use super::{AUDIENCE, Limits};
use crate::credentials::explain;
use crate::server::Counters;
use crate::server::counters::Review;

/// How many accepted tokens are remembered.
const MAX_CACHED: usize = 65_536;
/// How many reviews are under way at most.
const LANES: usize = 32;

/// Asks the API server whose tokens are. Tokens are kept as hashes alone.
#[derive(Debug)]
pub struct TokenReviews {
    api: Api<TokenReview>,
    throttle: Throttle,
    accepted: Mutex<HashMap<Hash, Accepted>>,
    /// Equal tokens meet in the same lane, so that both streams of a sidecar
    /// take one review.
    lanes: [tokio::sync::Mutex<()>; LANES],
}

type Hash = [u8; SHA256_OUTPUT_LEN];

#[derive(Clone, Debug)]
struct Accepted {
    identity: Identity,
    until: Instant,
}

impl TokenReviews {
    /// Reviews by this client, whose account may create `tokenreviews`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            throttle: Throttle::default(),
            accepted: Mutex::default(),
            lanes: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// Whose this token is.
    pub(super) async fn review(
        &self,
        token: &str,
        source: IpAddr,
        limits: &Limits,
        counters: &Counters,
    ) -> Result<Identity, Refusal> {
        let hash = hash(token);
        if let Some(identity) = self.cached(&hash) {
            counters.reviewed(Review::Cached);
            return Ok(identity);
        }
        let late = |_| Err(Refusal::Unavailable("the API server does not answer".to_owned()));
        let review = self.review_anew(&hash, token, source, limits);
        let outcome = timeout(limits.review, review).await.unwrap_or_else(late);
        counters.reviewed(match &outcome {
            Ok(_) => Review::Accepted,
            Err(Refusal::Missing(_) | Refusal::Invalid(_)) => Review::Refused,
            Err(Refusal::Throttled) => Review::Throttled,
            Err(Refusal::Unavailable(_)) => Review::Unavailable,
        });
        outcome
    }

    async fn review_anew(
        &self,
        hash: &Hash,
        token: &str,
        source: IpAddr,
        limits: &Limits,
    ) -> Result<Identity, Refusal> {
        let lane = hash.first().map_or(0, |first| usize::from(*first) % LANES);
        let _lane = match self.lanes.get(lane) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        if let Some(identity) = self.cached(hash) {
            return Ok(identity);
        }
        let now = Instant::now();
        if !self.throttle.admits(source, now) {
            return Err(Refusal::Throttled);
        }
        let outcome = self.ask(token).await;
        match &outcome {
            Ok(identity) => self.remember(hash, identity, now + limits.cache),
            Err(Refusal::Unavailable(_)) => {}
            Err(_) => self.throttle.refused(source, Instant::now()),
        }
        outcome
    }

    async fn ask(&self, token: &str) -> Result<Identity, Refusal> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        match self.api.create(&PostParams::default(), &review).await {
            Ok(review) => Identity::read(review.status.as_ref()),
            Err(error) => {
                // Not even a 401 is about the token: that one is about ourselves.
                tracing::error!(
                    "reviewing a token: {}; see that the agent's service account may create tokenreviews",
                    explain(&error)
                );
                let text = match error {
                    kube::Error::Api(_) => "the API server does not let the agent review tokens",
                    _ => "the agent does not reach the API server",
                };
                Err(Refusal::Unavailable(text.to_owned()))
            }
        }
    }

    fn cached(&self, hash: &Hash) -> Option<Identity> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = accepted.get(hash).filter(|accepted| Instant::now() < accepted.until);
        fresh.map(|accepted| accepted.identity.clone())
    }

    fn remember(&self, hash: &Hash, identity: &Identity, until: Instant) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.len() >= MAX_CACHED {
            let now = Instant::now();
            accepted.retain(|_, accepted| now < accepted.until);
            // Whom it forgets is reviewed again.
            if accepted.len() >= MAX_CACHED {
                accepted.clear();
            }
        }
        accepted.insert(*hash, Accepted { identity: identity.clone(), until });
    }
}

fn hash(token: &str) -> Hash {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    // Both are as long as the algorithm says.
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
        *to = *from;
    }
    hash
}
