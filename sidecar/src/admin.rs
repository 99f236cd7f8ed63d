//! What a sidecar tells about itself, on loopback: `GET /ready` and `GET /policy`.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
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

use crate::snapshot::Store;

/// Askers at a time; more wait.
const MAX_CONNECTIONS: usize = 16;

/// How long an asker may take to say what it wants.
const HEADERS: Duration = Duration::from_secs(5);

/// The most bytes that are held of one question: hyper's least.
const BUFFER_BYTES: usize = 8 << 10;

/// Answers for ever.
pub(crate) async fn run(listener: TcpListener, store: Arc<Store>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so never an error.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    serve(stream, &store).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept admin connections just now");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, store: &Store) {
    let answer = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), store))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection broke");
    }
}

fn answer(method: &Method, path: &str, store: &Store) -> Response<Full<Bytes>> {
    match (method, path) {
        (&Method::GET, "/ready") => match store.waiting() {
            None => text(StatusCode::OK, "ready\n".into()),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        (&Method::GET, "/policy") => policy(store),
        (&Method::GET, _) => text(StatusCode::NOT_FOUND, "there are /ready and /policy\n".into()),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".into()),
    }
}

/// The version in force and how much it holds, as JSON.
fn policy(store: &Store) -> Response<Full<Bytes>> {
    let snapshot = store.load();
    let size = snapshot.size;
    let mut body = String::from("{\"version\":");
    crate::access_log::quote(&mut body, &snapshot.version);
    // Writing to a String cannot fail.
    let _ = writeln!(
        body,
        ",\"ready\":{},\"ingress_ports\":{},\"rules\":{},\"identities\":{},\"addresses\":{}}}",
        store.waiting().is_none(),
        size.ports,
        size.rules,
        size.identities,
        size.addresses
    );
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
