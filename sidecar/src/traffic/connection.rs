//! One connection: where it goes, whether it may, and how.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use remora_parsers::Protocol;
use remora_policy::{Admission, Decision, TrafficDirection, Verdict};
use tokio::{net::TcpStream, sync::watch, time::timeout};

use super::{
    Shared, Stop,
    judge::Court,
    opaque, origin, sandbox,
    session::Session,
    socket::{reset, tune},
    target::Parties,
    unknown::View,
};
use crate::{
    access_log::{Event, Flow, Outcome},
    errors::{Close, Error, Label},
    limits::{Full, Ticket, deadline::Deadline},
    relay,
    snapshot::Snapshot,
};

/// How long the server may take to accept. Its kernel answers at once unless
/// its queue is full; clients give up in about this time.
const CONNECT: Duration = Duration::from_secs(10);

/// Who talks to whom, and all that is needed to judge and to log it.
#[derive(Clone, Copy)]
pub(super) struct Connection<'s> {
    parties: Parties,
    /// Who is dialled: what the client dialled, or a backend of that service.
    target: SocketAddr,
    shared: &'s Shared,
}

/// Serves a connection to its end, and logs that end where policy or an error
/// brought it about.
pub(super) async fn serve(
    client: TcpStream,
    source: SocketAddr,
    direction: TrafficDirection,
    shared: Arc<Shared>,
    mut ticket: Ticket,
    stop: Stop,
) {
    let destination = match origin::find(&client, direction, &shared.config) {
        Ok(destination) => destination,
        Err(error) => {
            let flow = Flow { direction, source, destination: None, backend: None };
            log(&shared, flow, None, None, &error);
            return reset(client);
        }
    };
    tune(&client, shared.config.limits.peer);
    let parties = Parties { direction, source, destination, number: shared.next_number() };
    let connection = Connection { parties, target: destination, shared: &shared };
    // Subscribed to before the decision: no change falls between the two.
    let mut changes = shared.store.changes();
    let View { target, admission, .. } = match connection.admitted(&mut changes, stop.clone()).await
    {
        Ok(view) => view,
        Err(error) => {
            connection.log(None, &error);
            return reset(client);
        }
    };
    let connection = Connection { target, ..connection };
    match admission {
        Admission::Deny(decision) => {
            connection.log(None, &Error::Denied(decision));
            reset(client);
        }
        Admission::Opaque(decision) => {
            connection.audit(&decision);
            let Some((client, server)) = connection.dial(client, None).await else { return };
            let _listed = shared.live.enter(parties.number, connection.flow(), None);
            let still = || connection.still_forwarded();
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
pub(super) fn refuse(
    client: TcpStream,
    source: SocketAddr,
    direction: TrafficDirection,
    shared: &Shared,
    full: Full,
) {
    let flow = Flow { direction, source, destination: None, backend: None };
    log(shared, flow, None, None, &Error::Full(full));
    reset(client);
}

impl<'s> Connection<'s> {
    /// Who the peer is by the newest policy, and what that says of the
    /// connection as such, now that it is known where it leads.
    fn view(&self) -> View {
        self.parties.judged(&self.shared.store.load(), self.target)
    }

    /// Whether the newest policy still lets its bytes through unseen. What a
    /// policy would look at that only watches goes on as it began.
    ///
    /// # Errors
    /// Why not.
    fn still_forwarded(&self) -> Result<(), Error> {
        let snapshot = self.shared.store.load();
        let peer = self.identity(&snapshot);
        match snapshot.slice.forwards(self.direction(), self.port(), peer) {
            true => Ok(()),
            false => opaque::still_admitted(self.view().admission),
        }
    }

    /// Logs and counts a connection that would be denied, but for the mode of
    /// the policies.
    fn audit(&self, decision: &Decision) {
        if decision.verdict != Verdict::Audit {
            return;
        }
        let snapshot = self.shared.store.load();
        self.shared.metrics.audited();
        self.shared.record(&Event {
            outcome: Outcome::Audit,
            flow: self.flow(),
            identity: self.identity(&snapshot),
            l7proto: None,
            request: None,
            rule: decision.rule.as_deref(),
            reason: &decision.reason,
            error: None,
            policy_version: &snapshot.version,
        });
    }

    /// What becomes of the connection, once it is known whose it is.
    ///
    /// # Errors
    /// It does not become known, nobody is there, or no time is left for it.
    async fn admitted(
        &self,
        changes: &mut watch::Receiver<()>,
        mut stop: Stop,
    ) -> Result<View, Error> {
        let Shared { store, config, waiting, .. } = self.shared;
        let view = || self.parties.view(&store.load(), config);
        tokio::select! {
            biased;
            () = stop.asked() => Err(Error::Stopped),
            view = waiting.admission(changes, view) => view,
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
        let _listed = self.shared.live.enter(self.parties.number, self.flow(), Some(protocol.name));
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

    /// Connects to the server. Where it does not answer, neither do we: the
    /// client is reset, as without a proxy.
    async fn dial(
        &self,
        client: TcpStream,
        protocol: Option<&'static Protocol>,
    ) -> Option<(TcpStream, TcpStream)> {
        let dialled = timeout(CONNECT, TcpStream::connect(self.target)).await;
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
        let identity = self.identity(&self.shared.store.load());
        log(self.shared, self.flow(), identity, protocol, error);
    }

    pub(super) fn flow(&self) -> Flow {
        let Parties { direction, source, destination, .. } = self.parties;
        let backend = (self.target != destination).then_some(self.target);
        Flow { direction, source, destination: Some(destination), backend }
    }

    pub(super) fn direction(&self) -> TrafficDirection {
        self.parties.direction
    }

    /// The server's port, which policy is about.
    pub(super) fn port(&self) -> u16 {
        self.target.port()
    }

    pub(super) fn shared(&self) -> &'s Shared {
        self.shared
    }

    /// The peer's identity in `snapshot`.
    pub(super) fn identity(&self, snapshot: &Snapshot) -> Option<u32> {
        snapshot.hosts.lookup(self.parties.peer(self.target))
    }
}

/// Logs and counts the end of a connection that did not simply end.
fn log(
    shared: &Shared,
    flow: Flow,
    identity: Option<u32>,
    protocol: Option<&'static Protocol>,
    error: &Error,
) {
    let label = error.label();
    shared.metrics.connection(label);
    shared.record(&Event {
        outcome: label.outcome(),
        flow,
        identity,
        l7proto: protocol.map(|protocol| protocol.name),
        request: None,
        rule: error.rule(),
        reason: &error,
        error: Some(label.name()),
        policy_version: &shared.store.load().version,
    });
}
