//! Connections whose bytes nobody judges: forwarded as they are, for as long
//! as policy admits them.

use remora_policy::Admission;
use tokio::{net::TcpStream, sync::watch};

use super::{Stop, socket::reset};
use crate::{errors::Error, relay::Broken};

/// Copies both ways, passing on each end, until both have ended or policy has
/// changed its mind.
///
/// # Errors
/// Why it ended otherwise; both peers were reset.
pub(super) async fn forward(
    client: TcpStream,
    server: TcpStream,
    relay: impl AsyncFnOnce(&TcpStream, &TcpStream) -> Result<(), Broken>,
    changes: watch::Receiver<()>,
    still: impl Fn() -> Result<(), Error>,
    mut stop: Stop,
) -> Result<(), Error> {
    let ended = tokio::select! {
        biased;
        error = revoked(changes, still) => Err(error),
        () = stop.asked() => Err(Error::Stopped),
        relayed = relay(&client, &server) => relayed.map_err(Error::relaying),
    };
    if ended.is_err() {
        reset(client);
        reset(server);
    }
    ended
}

/// Waits until policy does not admit the connection any more.
async fn revoked(mut changes: watch::Receiver<()>, still: impl Fn() -> Result<(), Error>) -> Error {
    while changes.changed().await.is_ok() {
        if let Err(error) = still() {
            return error;
        }
    }
    Error::Stopped
}

/// Whether a connection that was forwarded unseen so far may go on.
///
/// # Errors
/// Why not.
pub(super) fn still_admitted(admission: Admission) -> Result<(), Error> {
    match admission {
        Admission::Opaque(_) => Ok(()),
        Admission::Deny(decision) => Err(Error::Revoked(decision)),
        Admission::Parse(_) => Err(Error::Refiltered),
    }
}
