//! From a listening socket to connections with TLS, whoever may be calling.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use super::visitor::{Guest, Visitor};
use super::{Limits, source};
use crate::server::connection::Connection;

/// How long to wait when the system has no file left for us.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that has gone silent may look alive to the kernel.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) type Incoming = io::Result<Connection<TlsStream<TcpStream>, Guest>>;

/// The places for those who have shown no token yet.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    by_source: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    per_source: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    by_source: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    source: IpAddr,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.strangers)),
            by_source: Arc::default(),
            per_source: limits.strangers_per_source,
        }
    }

    /// A place for this source, unless it has its share.
    fn give(&self, permit: OwnedSemaphorePermit, source: IpAddr) -> Option<Place> {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_source.entry(source).or_insert(0);
        if *taken >= self.per_source {
            return None;
        }
        *taken = taken.saturating_add(1);
        Some(Place { _permit: permit, by_source: Arc::clone(&self.by_source), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = by_source.get_mut(&self.source) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

/// Accepts connections for as long as somebody takes them. Each handshake runs
/// by itself: a slow one keeps nobody waiting.
pub(super) fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    places: Places,
    limits: Limits,
) -> ReceiverStream<Incoming> {
    let (sender, receiver) = mpsc::channel(1);
    let acceptor = TlsAcceptor::from(tls);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = accept_all(&listener, &acceptor, &places, limits, &sender) => {}
        }
    });
    ReceiverStream::new(receiver)
}

async fn accept_all(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    places: &Places,
    limits: Limits,
    sender: &mpsc::Sender<Incoming>,
) {
    // Who comes when all places are taken waits in the kernel's backlog, no
    // longer than the strangers before may be idle.
    while let Ok(permit) = Arc::clone(&places.all).acquire_owned().await {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("accepting a sidecar's connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let source = source(peer.ip());
        let Some(place) = places.give(permit, source) else {
            tracing::debug!("{peer}: refused: too many connections without a token from there");
            continue;
        };
        tokio::spawn(greet(
            stream,
            acceptor.clone(),
            Visitor::new(source, place),
            limits,
            sender.clone(),
        ));
    }
}

async fn greet(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    visitor: Arc<Visitor>,
    limits: Limits,
    sender: mpsc::Sender<Incoming>,
) {
    // Neither is needed for being right: what goes wrong there shows in the handshake.
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(
        &stream,
        u32::try_from(SEND_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
    );
    let source = visitor.source;
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.handshake, acceptor.accept(stream)) => shaken,
        () = sender.closed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let visit = Guest::new(visitor, limits.idle);
            // Nobody takes it when the server is about to end.
            let _ = sender.send(Ok(Connection { stream, visit })).await;
        }
        Ok(Err(error)) => tracing::debug!("{source}: its TLS handshake failed: {error}"),
        Err(_) => tracing::debug!("{source}: its TLS handshake took too long"),
    }
}
