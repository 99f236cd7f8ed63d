//! The port that API servers call: HTTP/1.1 over TLS 1.3.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::desk::Desk;
use super::door::{Door, Place};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// How long a connection may be without a request, and a request's head may take.
const IDLE: Duration = Duration::from_secs(90);
/// How long answers under way are waited for at the end.
const PARTING: Duration = Duration::from_secs(5);
/// How long to wait when the system has no file left for us.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers at `listener` until `stopping` says so; then lets what is under way end.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    desk: Arc<Desk>,
    mut stopping: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let door = Arc::new(Door::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = told(&mut stopping) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match door.enter(peer.ip()) {
                Some(place) => {
                    let connection = Connection {
                        stream,
                        place,
                        acceptor: acceptor.clone(),
                        desk: Arc::clone(&desk),
                        stopping: stopping.clone(),
                    };
                    connections.spawn(connection.serve());
                }
                None => desk.turned_away(),
            },
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let parted = async { while connections.join_next().await.is_some() {} };
    // Whoever has not ended by then is dropped with the set.
    let _ = timeout(PARTING, parted).await;
}

struct Connection {
    stream: TcpStream,
    place: Place,
    acceptor: TlsAcceptor,
    desk: Arc<Desk>,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    /// Whatever a peer does wrong here is its own affair.
    async fn serve(self) {
        let Self { stream, place, acceptor, desk, mut stopping } = self;
        let _ = stream.set_nodelay(true);
        let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
        let service = service_fn(|request: Request<Incoming>| {
            let desk = Arc::clone(&desk);
            async move { Ok::<_, Infallible>(desk.respond(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = told(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        drop(place);
    }
}

/// Until it is time to stop; whoever could say so being gone says it as well.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stops| *stops).await;
}
