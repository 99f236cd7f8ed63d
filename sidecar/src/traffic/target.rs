//! Whom a connection is about: who is judged, on which port, and who is dialled.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{IpAddr, SocketAddr},
};

use remora_policy::{Admission, TrafficDirection};

use super::{origin, unknown::View};
use crate::{
    config::Config,
    errors::Error,
    services::{Found, ServicePort},
    snapshot::Snapshot,
};

/// Who talks to whom, as far as policy asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties {
    pub(super) direction: TrafficDirection,
    pub(super) source: SocketAddr,
    /// What the client dialled.
    pub(super) destination: SocketAddr,
    /// A number of the connection's own, by which backends are spread.
    pub(super) number: u64,
}

impl Parties {
    /// What policy says of the connection as such, and to whom it leads: where
    /// the app has dialled a service, to a backend that policy allows.
    ///
    /// # Errors
    /// Nobody stands behind the service.
    pub(super) fn view(&self, snapshot: &Snapshot, config: &Config) -> Result<View, Error> {
        if self.direction == TrafficDirection::Ingress {
            return Ok(self.judged(snapshot, self.destination));
        }
        match snapshot.services.find(self.destination) {
            Found::Port(port) => self.backend(snapshot, config, port),
            // A node's address has ports of its own beside those of services.
            Found::NoSuchPort if snapshot.hosts.lookup(self.destination.ip()).is_none() => {
                Err(Error::NoBackend)
            }
            Found::NoSuchPort | Found::NoService => Ok(self.judged(snapshot, self.destination)),
        }
    }

    /// What policy says if the connection leads to `target`.
    pub(super) fn judged(&self, snapshot: &Snapshot, target: SocketAddr) -> View {
        let holder = snapshot.hosts.holder(self.peer(target));
        let slice = &snapshot.slice;
        let admission = slice.connection(self.direction, target.port(), holder.identity());
        View { target, holder, admission }
    }

    /// The address of the other side, if the connection leads to `target`.
    pub(super) fn peer(&self, target: SocketAddr) -> IpAddr {
        match self.direction {
            TrafficDirection::Ingress => self.source.ip(),
            TrafficDirection::Egress => target.ip(),
        }
    }

    /// One of the backends that are allowed; where none is, one of whom more
    /// may become known; else any, to say why it is denied.
    fn backend(
        &self,
        snapshot: &Snapshot,
        config: &Config,
        port: &ServicePort,
    ) -> Result<View, Error> {
        let salt = Salt::of(self, config, port.is_sticky);
        let views = port.backends.iter().map(|backend| self.judged(snapshot, *backend));
        let merit = |view: &View| match view.admission {
            Admission::Deny(_) if view.may_become_known() => 1_u8,
            Admission::Deny(_) => 0,
            Admission::Opaque(_) | Admission::Parse(_) => 2,
        };
        let best = views.max_by_key(|view| (merit(view), salt.rank(view.target)));
        let best = best.ok_or(Error::NoBackend)?;
        origin::outbound(best.target, config)?;
        Ok(best)
    }
}

/// What orders a service's backends, so that the first that is allowed is the
/// one. Who leaves or joins moves nobody but the clients that it had or gets.
#[derive(Debug, Clone, Copy, Hash)]
enum Salt {
    /// A client's, that keeps its backend: the client is always this pod.
    Client(Option<IpAddr>),
    /// A connection's.
    Connection(u64),
}

impl Salt {
    fn of(parties: &Parties, config: &Config, is_sticky: bool) -> Self {
        if is_sticky {
            Self::Client(config.pod.ips.first().copied())
        } else {
            Self::Connection(parties.number)
        }
    }

    fn rank(self, backend: SocketAddr) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self, backend).hash(&mut hasher);
        hasher.finish()
    }
}
