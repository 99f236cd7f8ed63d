//! The tiny HTTP server behind the admin, metrics and health ports.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// Askers at a time; further ones are hung up on.
const MAX_CONNECTIONS: usize = 64;

/// How long an asker may take to say what it wants.
const HEADERS: Duration = Duration::from_secs(5);

/// The most bytes that are held of one question: hyper's least.
const BUFFER_BYTES: usize = 8 << 10;

/// Pauses after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) type Question = Request<Incoming>;
pub(crate) type Answer = Response<Full<Bytes>>;

/// Answers for ever. Those who ask from `favoured` addresses have room of
/// their own, which nobody else can take.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    favoured: Vec<IpAddr>,
    answer: impl Fn(Question, IpAddr) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Answer> + Send,
{
    let everybody = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let first = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, source) = match listener.accept().await {
            Ok((stream, source)) => (stream, source.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections just now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let room = if favoured.contains(&source) { &first } else { &everybody };
        let Ok(permit) = Arc::clone(room).try_acquire_owned() else {
            tracing::debug!(%source, "too many ask at a time");
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            converse(stream, |question| answer(question, source)).await;
            drop(permit);
        });
    }
}

/// One question and its answer. An asker who leaves ends the work on it.
async fn converse<F>(stream: TcpStream, answer: impl Fn(Question) -> F)
where
    F: Future<Output = Answer>,
{
    let service = service_fn(|question| {
        let answer = answer(question);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an asker's connection broke");
    }
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

/// An answer of some other type.
pub(crate) fn typed(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(body.into().into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
