//! The ports for the kubelet and for Prometheus: nothing but answers to GET.

use std::convert::Infallible;
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
use tokio::time::{sleep, timeout};

/// How many connections there may be at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last.
const LIFE: Duration = Duration::from_secs(60);
/// How long to wait when the system has no file left for us.
const PAUSE: Duration = Duration::from_millis(100);

/// What is at a path: good, or bad, or nothing.
pub(super) type Page = Option<Result<String, String>>;

/// Shows the pages for as long as this is polled.
pub(super) async fn serve(
    listener: TcpListener,
    page: impl Fn(&str) -> Page + Send + Sync + 'static,
) {
    let page = Arc::new(page);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let page = Arc::clone(&page);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(request.method(), page(request.uri().path()));
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

fn respond(method: &Method, page: Page) -> Response<Full<Bytes>> {
    let (status, text) = match page {
        _ if method != Method::GET => {
            (StatusCode::METHOD_NOT_ALLOWED, "GET is all there is\n".to_owned())
        }
        None => (StatusCode::NOT_FOUND, "nothing is here\n".to_owned()),
        Some(Ok(text)) => (StatusCode::OK, text),
        Some(Err(text)) => (StatusCode::SERVICE_UNAVAILABLE, text),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
