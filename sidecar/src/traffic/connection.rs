//! One inbound connection: where it goes, whether it may, and how.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use remora_parsers::Protocol;
use remora_policy::{Admission, TrafficDirection};
use tokio::{net::TcpStream, sync::watch, time::timeout};

use super::{
    Shared, Stop,
    judge::Court,
    opaque, origin, sandbox,
    session::Session,
    socket::{reset, tune},
    unknown::View,
};
use crate::{
    access_log::{Event, Flow},
    errors::{Close, Error, Label},
    limits::{Full, Ticket, deadline::Deadline},
    relay,
    snapshot::Snapshot,
};

/// How long the app may take to accept. Its kernel answers at once unless its
/// queue is full; clients give up in about this time.
const CONNECT: Duration = Duration::from_secs(10);

/// Who talks to whom, and all that is needed to judge and to log it.
#[derive(Clone, Copy)]
pub(super) struct Connection<'s> {
    source: SocketAddr,
    destination: SocketAddr,
    shared: &'s Shared,
}

/// Serves a connection to its end, and logs that end where policy or an error
/// brought it about.
pub(super) async fn serve(
    client: TcpStream,
    source: SocketAddr,
    shared: Arc<Shared>,
    mut ticket: Ticket,
    stop: Stop,
) {
    let destination = match origin::find(&client, &shared.config) {
        Ok(destination) => destination,
        Err(error) => {
            log(&shared, Flow { source, destination: None }, None, &error);
            return reset(client);
        }
    };
    tune(&client, shared.config.limits.peer);
    let connection = Connection { source, destination, shared: &shared };
    // Subscribed to before the decision: no change falls between the two.
    let mut changes = shared.store.changes();
    let admission = match connection.admitted(&mut changes, stop.clone()).await {
        Ok(admission) => admission,
        Err(error) => {
            connection.log(None, &error);
            return reset(client);
        }
    };
    match admission {
        Admission::Deny(decision) => {
            connection.log(None, &Error::Denied(decision));
            reset(client);
        }
        Admission::Opaque(_) => {
            let Some((client, server)) = connection.dial(client, None).await else { return };
            let still = || opaque::still_admitted(connection.view().admission);
            let relay = async |client: &TcpStream, server: &TcpStream| {
                let mut deadline = Deadline::for_bytes(&shared.config.limits);
                relay::relay(client, server, &shared.pipes, &mut deadline, &mut ticket).await
            };
            match opaque::forward(client, server, relay, changes, still, stop).await {
                Ok(()) => shared.metrics.connection(Label::Ended),
                Err(error) => connection.log(None, &error),
            }
        }
        Admission::Parse(protocol) => connection.parse(client, protocol, ticket, stop).await,
    }
}

/// Turns a client away, and logs why.
pub(super) fn refuse(client: TcpStream, source: SocketAddr, shared: &Shared, full: Full) {
    log(shared, Flow { source, destination: None }, None, &Error::Full(full));
    reset(client);
}

impl<'s> Connection<'s> {
    /// Who the client is by the newest policy, and what that says of the
    /// connection as such.
    fn view(&self) -> View {
        let snapshot = self.shared.store.load();
        let holder = snapshot.hosts.holder(self.source.ip());
        let (direction, peer) = (TrafficDirection::Ingress, holder.identity());
        View { holder, admission: snapshot.slice.connection(direction, self.port(), peer) }
    }

    /// What becomes of the connection, once it is known whose it is.
    ///
    /// # Errors
    /// It does not become known, or there is no time left for it.
    async fn admitted(
        &self,
        changes: &mut watch::Receiver<()>,
        mut stop: Stop,
    ) -> Result<Admission, Error> {
        tokio::select! {
            biased;
            () = stop.asked() => Err(Error::Stopped),
            admission = self.shared.waiting.admission(changes, || self.view()) => admission,
        }
    }

    /// Forwards what the parser and policy let through.
    async fn parse(
        &self,
        client: TcpStream,
        protocol: &'static Protocol,
        ticket: Ticket,
        stop: Stop,
    ) {
        let driver = match sandbox::driver(protocol) {
            Ok(driver) => driver,
            Err(error) => {
                self.log(Some(protocol), &error);
                return reset(client);
            }
        };
        let Some((client, server)) = self.dial(client, Some(protocol)).await else { return };
        let mut session = Session::new(client, server, driver, Court::new(*self, protocol), ticket);
        match session.run(stop).await {
            Ok(()) => self.shared.metrics.connection(Label::Ended),
            Err(error) => {
                self.log(Some(protocol), &error);
                match error.label().close() {
                    Close::Reset => session.reset(),
                    Close::Deliver => session.deliver().await,
                }
            }
        }
    }

    /// Connects to the app. Where it does not answer, neither do we: the
    /// client is reset, as without a proxy.
    async fn dial(
        &self,
        client: TcpStream,
        protocol: Option<&'static Protocol>,
    ) -> Option<(TcpStream, TcpStream)> {
        let dialled = timeout(CONNECT, TcpStream::connect(self.destination)).await;
        match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(server) => {
                tune(&server, self.shared.config.limits.peer);
                Some((client, server))
            }
            Err(error) => {
                self.log(protocol, &Error::dialling(error));
                reset(client);
                None
            }
        }
    }

    fn log(&self, protocol: Option<&'static Protocol>, error: &Error) {
        log(self.shared, self.flow(), protocol, error);
    }

    pub(super) fn flow(&self) -> Flow {
        Flow { source: self.source, destination: Some(self.destination) }
    }

    /// The port that the client wanted, and policy is about.
    pub(super) fn port(&self) -> u16 {
        self.destination.port()
    }

    pub(super) fn shared(&self) -> &'s Shared {
        self.shared
    }

    /// The client's identity in `snapshot`.
    pub(super) fn identity(&self, snapshot: &Snapshot) -> Option<u32> {
        snapshot.hosts.lookup(self.source.ip())
    }
}

/// Logs and counts the end of a connection that did not simply end.
fn log(shared: &Shared, flow: Flow, protocol: Option<&'static Protocol>, error: &Error) {
    let snapshot = shared.store.load();
    let label = error.label();
    shared.metrics.connection(label);
    shared.record(&Event {
        outcome: label.outcome(),
        flow,
        identity: snapshot.hosts.lookup(flow.source.ip()),
        l7proto: protocol.map(|protocol| protocol.name),
        request: None,
        rule: error.rule(),
        reason: &error.to_string(),
        error: Some(label.name()),
        policy_version: &snapshot.version,
    });
}
