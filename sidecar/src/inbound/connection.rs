//! One inbound connection: where it goes, whether it may, and how.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use remora_parsers::Protocol;
use remora_policy::{Admission, TrafficDirection};
use tokio::{net::TcpStream, time::timeout};

use super::{
    Shared, Stop,
    judge::Court,
    opaque, origin, sandbox,
    session::Session,
    socket::{reset, tune},
};
use crate::{
    access_log::{Event, Flow},
    errors::{Close, Error},
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
pub(super) async fn serve(client: TcpStream, source: SocketAddr, shared: Arc<Shared>, stop: Stop) {
    let destination = match origin::find(&client, &shared.config) {
        Ok(destination) => destination,
        Err(error) => {
            log(&shared, Flow { source, destination: None }, None, &error);
            return reset(client);
        }
    };
    tune(&client);
    let connection = Connection { source, destination, shared: &shared };
    // Subscribed to before the decision: no change falls between the two.
    let changes = shared.store.changes();
    match connection.admission() {
        Admission::Deny(decision) => {
            connection.log(None, &Error::Denied(decision));
            reset(client);
        }
        Admission::Opaque(_) => {
            let Some((client, server)) = connection.dial(client, None).await else { return };
            let still = || opaque::still_admitted(connection.admission());
            if let Err(error) = opaque::forward(client, server, changes, still, stop).await {
                connection.log(None, &error);
            }
        }
        Admission::Parse(protocol) => connection.parse(client, protocol, stop).await,
    }
}

impl Connection<'_> {
    /// What the newest policy says of the connection as such.
    fn admission(&self) -> Admission {
        let snapshot = self.shared.store.load();
        let peer = self.identity(&snapshot);
        snapshot.slice.connection(TrafficDirection::Ingress, self.port(), peer)
    }

    /// Forwards what the parser and policy let through.
    async fn parse(&self, client: TcpStream, protocol: &'static Protocol, stop: Stop) {
        let driver = match sandbox::driver(protocol) {
            Ok(driver) => driver,
            Err(error) => {
                self.log(Some(protocol), &error);
                return reset(client);
            }
        };
        let Some((client, server)) = self.dial(client, Some(protocol)).await else { return };
        let mut session = Session::new(client, server, driver, Court::new(*self, protocol));
        if let Err(error) = session.run(stop).await {
            self.log(Some(protocol), &error);
            match error.consequence().close {
                Close::Reset => session.reset(),
                Close::Deliver => session.deliver().await,
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
                tune(&server);
                Some((client, server))
            }
            Err(error) => {
                self.log(protocol, &Error::Unreachable(error));
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

    pub(super) fn shared(&self) -> &Shared {
        self.shared
    }

    /// The client's identity in `snapshot`.
    pub(super) fn identity(&self, snapshot: &Snapshot) -> Option<u32> {
        snapshot.hosts.lookup(self.source.ip())
    }
}

fn log(shared: &Shared, flow: Flow, protocol: Option<&'static Protocol>, error: &Error) {
    let snapshot = shared.store.load();
    let consequence = error.consequence();
    shared.log.record(&Event {
        outcome: consequence.outcome,
        flow,
        identity: snapshot.hosts.lookup(flow.source.ip()),
        l7proto: protocol.map(|protocol| protocol.name),
        request: None,
        rule: error.rule(),
        reason: &error.to_string(),
        error: Some(consequence.label),
        policy_version: &snapshot.version,
    });
}
