//! The agent API over TCP and TLS: any pod at one address, each by its token.
//!
//! ```text
//! accept ─TLS▶ Visitor ─token▶ TokenReviews ─identity▶ Pods ─▶ that pod's feed
//! ```
//!
//! A connection comes in without a name, takes one of the few places for
//! strangers, and must show a token that counts within [`Limits::idle`]. The
//! first token binds it to a pod, and the place is free for the next. Every
//! stream shows its token; what the request says of itself is not asked, but by
//! the proxy of a node, which names the pod on it that a stream is for.
//!
//! To serve, [`serve`] is all there is to call: it takes the slices from a watch
//! channel, holds back the first slice of a pod whose address still means
//! another one somewhere, and ends with `stopped`.

mod accept;
mod account;
mod door;
mod identity;
mod nodes;
mod pods;
mod reviews;
mod throttle;
mod visitor;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::accept::Places;
pub use self::account::NodeAccount;
pub(super) use self::door::Door;
pub use self::identity::{Identity, Refusal};
use self::nodes::Nodes;
use self::pods::Pods;
pub use self::reviews::TokenReviews;
use super::service::{Gate, Router, server};
use super::{Counters, Slices};
use crate::world::HoldBack;

/// The audience of the tokens that sidecars show: nobody else's tokens count here.
pub const AUDIENCE: &str = "remora-agent";

/// Deadlines and caps. The defaults are what a cluster gets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a connection may be without a stream.
    pub idle: Duration,
    /// How many connections there may be that have shown no token yet.
    pub strangers: usize,
    /// How many of these from one source.
    pub strangers_per_source: usize,
    /// How long the answer to a token's review may take, waiting included.
    pub review: Duration,
    /// How long an accepted token is taken for granted.
    pub cache: Duration,
    /// How often the token of an open stream is reviewed again.
    pub review_again: Duration,
    /// How long a stream may go on when the API server cannot be asked: the life
    /// that is requested for tokens.
    pub unreviewed: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            strangers: 1024,
            strangers_per_source: 256,
            review: Duration::from_secs(5),
            cache: Duration::from_secs(60),
            review_again: Duration::from_secs(600),
            unreviewed: Duration::from_secs(3600),
        }
    }
}

/// What the server is made of.
#[derive(Debug)]
pub struct Config {
    /// From `remora_certs::server_config`: whoever changes the certificate there changes it here.
    pub tls: Arc<ServerConfig>,
    /// Who says whose a token is.
    pub reviews: TokenReviews,
    /// Deadlines and caps.
    pub limits: Limits,
    /// Where to count.
    pub counters: Arc<Counters>,
    /// Whose tokens may ask for the pods that their node serves; nobody's, if none.
    pub node_account: Option<NodeAccount>,
}

/// How long a peer may take to let go of its connection when the agent stops.
const GRACE: Duration = Duration::from_secs(1);

/// Serves the pods of the latest snapshot at `listener` until `stopped` ends.
///
/// Nothing is accepted before there is a first snapshot: send it once all
/// watches are in sync. A pod that is in no snapshot any more, or is there with
/// another uid, loses its streams at once.
///
/// # Errors
/// The server ended by itself: a bug. That the system has no files left, say, is
/// waited out.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    mut snapshots: watch::Receiver<Option<Arc<Slices>>>,
    stopped: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    tokio::pin!(stopped);
    tokio::select! {
        first = snapshots.wait_for(Option::is_some) => if first.is_err() { return Ok(()) },
        () = &mut stopped => return Ok(()),
    }
    let holdback = HoldBack::new();
    let (mut pods, directory) = Pods::new(Arc::clone(&holdback), Arc::clone(&config.counters));
    let nodes = Arc::new(Nodes::new(Arc::clone(&config.counters)));
    let (tls, limits) = (Arc::clone(&config.tls), config.limits);
    let door = Door::new(config, directory, Arc::clone(&nodes));
    let incoming = accept::accept(listener, tls, Places::new(limits), limits);
    let (stop, is_stopping) = tokio::sync::oneshot::channel();
    let router = Router::new(Gate::Token(Arc::new(door)));
    let served = server().serve_with_incoming_shutdown(router, incoming, async {
        // Ended by a word or by the sender's end alike.
        let _: Result<(), _> = is_stopping.await;
    });
    tokio::pin!(served);
    loop {
        // Cloned out, so that the sender is not kept waiting.
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(slices) = &snapshot {
            pods.serve(slices);
            nodes.serve(slices);
        }
        tokio::select! {
            outcome = &mut served => return outcome,
            () = &mut stopped => break,
            changed = snapshots.changed() => if changed.is_err() { break },
            () = holdback.changed() => {}
        }
    }
    // Ends all streams, then the connections.
    drop(pods);
    nodes.close();
    drop(stop);
    tokio::time::timeout(GRACE, served).await.unwrap_or(Ok(()))
}

/// Whom a source is counted as: an IPv6 host has a whole /64 to come from.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}
