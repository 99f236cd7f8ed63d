//! The ports for the kubelet and for Prometheus: nothing but answers to GET.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many connections there may be at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last: an answer is short, and so are those who ask.
const LIFE: Duration = Duration::from_secs(60);
/// How long to wait when the system has no file left for us.
const PAUSE: Duration = Duration::from_millis(100);

/// What is answered.
pub(super) struct Answer {
    pub(super) is_good: bool,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { is_good: true, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { is_good: false, text: text.into() }
    }
}

/// A listener at this address; of IPv4 alone where the system has no IPv6.
pub(super) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        outcome => outcome,
    }
}

/// Answers at `listener` for as long as this is polled. What is at which path
/// says `answer`; none is 404.
pub(super) async fn serve(
    listener: TcpListener,
    answer: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("accepting a connection for metrics or health: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(&request, answer.as_ref());
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever a peer does wrong here is its own affair.
            let _ = timeout(LIFE, connection).await;
            drop(place);
        });
    }
}

fn respond<B>(
    request: &Request<B>,
    answer: &impl Fn(&str) -> Option<Answer>,
) -> Response<Full<Bytes>> {
    let (status, text) = match answer(request.uri().path()) {
        _ if request.method() != Method::GET => {
            (StatusCode::METHOD_NOT_ALLOWED, "GET is all there is\n".to_owned())
        }
        None => (StatusCode::NOT_FOUND, "nothing is here\n".to_owned()),
        Some(Answer { is_good: true, text }) => (StatusCode::OK, text),
        Some(Answer { is_good: false, text }) => (StatusCode::SERVICE_UNAVAILABLE, text),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ask(method: Method, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(()).expect("a request");
        let answer = |path: &str| match path {
            "/readyz" => Some(Answer::bad("pods are not listed yet")),
            "/livez" => Some(Answer::good("alive")),
            _ => None,
        };
        let response = respond(&request, &answer);
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn each_path_has_its_answer() {
        let unready = (StatusCode::SERVICE_UNAVAILABLE, "pods are not listed yet".to_owned());
        assert_eq!(ask(Method::GET, "/readyz").await, unready);
        assert_eq!(ask(Method::GET, "/livez").await, (StatusCode::OK, "alive".to_owned()));
        assert_eq!(ask(Method::GET, "/metrics").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(Method::POST, "/livez").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
