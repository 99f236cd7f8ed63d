//! Traffic of either direction: accepts what was redirected to the proxy.

mod connection;
mod farewell;
mod judge;
mod live;
mod opaque;
mod origin;
mod sandbox;
mod session;
mod socket;
mod stop;
mod target;
mod unknown;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remora_policy::TrafficDirection;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::stop::{Stage, Stop};
pub(crate) use self::{
    live::Live,
    socket::{lacks_ipv6, listen},
    unknown::WaitingRoom,
};
use crate::{
    access_log::{AccessLog, Event, Recorded},
    config::Config,
    limits::Ledger,
    metrics::Metrics,
    relay::Pipes,
    snapshot::Store,
};

/// Pauses after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections may take to notice that they were stopped.
const STOP: Duration = Duration::from_millis(500);

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<Store>,
    pub(crate) log: AccessLog,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) waiting: WaitingRoom,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) pipes: Pipes,
    pub(crate) numbers: AtomicU64,
    pub(crate) live: Live,
}

/// Where connections of one direction arrive.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) direction: TrafficDirection,
    pub(crate) listener: TcpListener,
}

impl Shared {
    /// A number for a new connection.
    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Logs one event, or counts it as missing.
    fn record(&self, event: &Event<'_>) {
        match self.log.record(event) {
            Recorded::Written => {}
            Recorded::LeftOut => self.metrics.log_left_out(),
            Recorded::Lost => self.metrics.log_lost(),
        }
    }
}

/// Serves the connections of one door until `shutdown`; then accepts no more,
/// lets those in flight finish their requests within the configured bound, and
/// stops the rest.
pub(crate) async fn run(door: Door, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let Door { direction, listener } = door;
    let (stop, stopped) = Stop::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => note_panic(&ended),
            (client, source) = accept(&listener) => {
                let source = origin::canonical(source);
                // All that goes out comes from one address: this pod's.
                let stranger = (direction == TrafficDirection::Ingress).then_some(source.ip());
                match shared.ledger.admit(stranger) {
                    Ok(ticket) => _ = connections.spawn(connection::serve(
                        client, source, direction, Arc::clone(&shared), ticket, stopped.clone(),
                    )),
                    Err(full) => connection::refuse(client, source, direction, &shared, full),
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(Stage::Drain);
    let drained = timeout(shared.config.drain, drain(&mut connections)).await;
    if drained.is_err() {
        tracing::info!(
            connections = connections.len(),
            "still open after the drain; stopping them"
        );
        stop.send_replace(Stage::End);
        // Those that do not even notice are dropped with the set.
        let _ = timeout(STOP, drain(&mut connections)).await;
    }
}

/// The next connection. An error costs at most that one: the loop never ends.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections just now");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error is about a connection that ended before it was accepted.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn drain(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        note_panic(&ended);
    }
}

/// A panic outside a parser's sandbox: the runtime caught it, at the price of
/// that connection.
fn note_panic(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task panicked");
    }
}
