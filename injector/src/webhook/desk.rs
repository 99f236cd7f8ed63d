//! Where reviews are answered: an HTTP request in, a response out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::counters::Counters;
use super::events::Mailbox;
use crate::admission::{
    Answer, Install, MAX_REVIEW_BYTES, Malformed, Mode, Outcome, Reason, review,
};

/// How long a review's bytes may take.
const BODY: Duration = Duration::from_secs(3);
/// Up to here a review is read and answered where it arrives: nearly every pod is far below.
const SMALL: usize = 256 << 10;
/// How many larger ones are held at a time: memory is the webhook's scarcest good.
const LARGE_AT_A_TIME: usize = 2;

/// What the path of a request stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Pods of a namespace of this mode.
    Inject(Mode),
}

impl Path {
    /// The two that there are: one for each entry of the webhook's configuration.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        match path {
            "/inject/enabled" => Some(Self::Inject(Mode::Enabled)),
            "/inject/enforced" => Some(Self::Inject(Mode::Enforced)),
            _ => None,
        }
    }
}

/// Who answers.
#[derive(Debug)]
pub struct Desk {
    install: Install,
    counters: Arc<Counters>,
    mailbox: Mailbox,
    large: Semaphore,
}

/// Why there is no answer: never a decision.
struct Failure(StatusCode, String);

impl Desk {
    /// A desk for this installation.
    #[must_use]
    pub fn new(install: Install, counters: Arc<Counters>, mailbox: Mailbox) -> Self {
        Self { install, counters, mailbox, large: Semaphore::new(LARGE_AT_A_TIME) }
    }

    /// Notes that somebody found no place.
    pub(super) fn turned_away(&self) {
        self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers a request. An error of ours is a 5xx, and what is no review a 4xx: what becomes
    /// of the pod then is for the webhook's `failurePolicy` to say.
    pub async fn respond<B>(self: &Arc<Self>, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.answer(request).await {
            Ok(answer) => {
                let response = Response::new(Full::new(Bytes::from(answer.review.to_string())));
                with_type(response, HeaderValue::from_static("application/json"))
            }
            Err(Failure(status, text)) => {
                let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
                *response.status_mut() = status;
                with_type(response, HeaderValue::from_static("text/plain; charset=utf-8"))
            }
        }
    }

    async fn answer<B>(self: &Arc<Self>, request: Request<B>) -> Result<Answer, Failure>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let fail = |status, text: &str| Err(Failure(status, text.to_owned()));
        let Some(Path::Inject(mode)) = Path::parse(request.uri().path()) else {
            return fail(StatusCode::NOT_FOUND, "nothing is here");
        };
        if request.method() != Method::POST {
            return fail(StatusCode::METHOD_NOT_ALLOWED, "POST is all there is");
        }
        let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
            return fail(StatusCode::UNSUPPORTED_MEDIA_TYPE, "reviews are application/json");
        }
        let declared = request.body().size_hint().upper();
        let is_small = declared.is_some_and(|bytes| bytes <= u64::try_from(SMALL).unwrap_or(0));
        if is_small {
            let bytes = body(request.into_body(), SMALL).await?;
            return self.judged(&bytes, mode);
        }
        // Held until it is answered. Nobody closes it.
        let _place = self.large.acquire().await;
        let bytes = body(request.into_body(), MAX_REVIEW_BYTES).await?;
        let desk = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || desk.judged(&bytes, mode));
        task.await.unwrap_or_else(|_| fail(StatusCode::INTERNAL_SERVER_ERROR, "a bug"))
    }

    /// The answer, counted and told.
    fn judged(&self, bytes: &[u8], mode: Mode) -> Result<Answer, Failure> {
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| review(bytes, mode, &self.install)));
        match outcome {
            Ok(Ok(mut answer)) => {
                self.counters.review(answer.outcome, answer.reason, begin.elapsed());
                if let Some(story) = answer.story.take() {
                    self.mailbox.post(story, &self.counters);
                }
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.counters.review(Outcome::Malformed, Reason::None, begin.elapsed());
                let status = match error {
                    Malformed::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                Err(Failure(status, error.to_string()))
            }
            Err(_) => {
                self.counters.review(Outcome::Failed, Reason::None, begin.elapsed());
                tracing::error!("a review ended in a panic, which is a bug; the answer was 500");
                Err(Failure(StatusCode::INTERNAL_SERVER_ERROR, "a bug of Remora's".to_owned()))
            }
        }
    }
}

/// All bytes of a body, if they are not too many and come in time.
async fn body<B>(body: B, most: usize) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match timeout(BODY, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Failure(StatusCode::PAYLOAD_TOO_LARGE, Malformed::TooLong.to_string()))
        }
        Ok(Err(_)) => Err(Failure(StatusCode::BAD_REQUEST, "the review breaks off".to_owned())),
        Err(_) => Err(Failure(StatusCode::REQUEST_TIMEOUT, "the review is too slow".to_owned())),
    }
}

fn with_type(mut response: Response<Full<Bytes>>, kind: HeaderValue) -> Response<Full<Bytes>> {
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
