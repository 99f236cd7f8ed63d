//! The services that the pod may call, and who stands behind each.
//!
//! A service's address is nobody's: what policy says is about its backends. So
//! a connection to it is judged by each of them, and one that may be dialled is.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use remora_api::services::{self as wire, Backend};

/// How many pairs of address and port there may be.
pub(crate) const MAX_PORTS: usize = 1 << 17;

/// How many backends all of their ports may have together.
pub(crate) const MAX_BACKENDS: usize = 1 << 18;

/// All of them, by the addresses and ports that are dialled.
#[derive(Debug, Default)]
pub(crate) struct Services {
    ports: HashMap<SocketAddr, Arc<ServicePort>>,
    addresses: HashSet<IpAddr>,
}

/// Who answers at one port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePort {
    pub(crate) backends: Box<[SocketAddr]>,
    /// Whether a client is to keep its backend.
    pub(crate) is_sticky: bool,
}

/// What an address and a port are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'s> {
    /// A service's.
    Port(&'s ServicePort),
    /// A service's address, and none of its ports.
    NoSuchPort,
    /// No service's.
    NoService,
}

/// Why a discovery response of services is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServicesError {
    /// Neither IPv4 nor IPv6.
    #[error("service {service}: `{address}` is no address")]
    Address { service: String, address: String },
    /// A number that is no port.
    #[error("service {service}: {port} is no port")]
    Port { service: String, port: u32 },
    /// More than [`MAX_PORTS`].
    #[error("more than {MAX_PORTS} addresses and ports of services")]
    TooManyPorts,
    /// More than [`MAX_BACKENDS`].
    #[error("more than {MAX_BACKENDS} backends of services")]
    TooManyBackends,
}

impl Services {
    /// Compiles what a discovery response holds.
    ///
    /// # Errors
    /// A [`ServicesError`] that names the service.
    pub(crate) fn compile(services: &[wire::Service]) -> Result<Self, ServicesError> {
        let mut compiled = Self::default();
        let ports = services.iter().map(|one| one.addresses.len().saturating_mul(one.ports.len()));
        if ports.fold(0, usize::saturating_add) > MAX_PORTS {
            return Err(ServicesError::TooManyPorts);
        }
        let backends = services.iter().flat_map(|one| &one.ports).map(|port| port.backends.len());
        if backends.fold(0, usize::saturating_add) > MAX_BACKENDS {
            return Err(ServicesError::TooManyBackends);
        }
        for service in services {
            compiled.add(service)?;
        }
        Ok(compiled)
    }

    /// What is known of an address and a port.
    pub(crate) fn find(&self, destination: SocketAddr) -> Found<'_> {
        match self.ports.get(&destination) {
            Some(port) => Found::Port(port),
            None if self.addresses.contains(&destination.ip()) => Found::NoSuchPort,
            None => Found::NoService,
        }
    }

    /// How many ports of how many addresses.
    pub(crate) fn len(&self) -> usize {
        self.ports.len()
    }

    fn add(&mut self, service: &wire::Service) -> Result<(), ServicesError> {
        let mut addresses = Vec::with_capacity(service.addresses.len());
        for text in &service.addresses {
            addresses.push(address(service, text)?);
        }
        self.addresses.extend(&addresses);
        for port in &service.ports {
            let number = number(service, port.port)?;
            let answers = Arc::new(ServicePort {
                backends: backends(service, &port.backends)?,
                is_sticky: service.affinity_seconds > 0,
            });
            for ip in &addresses {
                self.claim(SocketAddr::new(*ip, number), &answers);
            }
        }
        Ok(())
    }

    /// Where two services claim an address and a port, either's backends may
    /// answer: whom the cluster would pick is not known, and each is judged.
    fn claim(&mut self, at: SocketAddr, answers: &Arc<ServicePort>) {
        match self.ports.entry(at) {
            Entry::Vacant(vacant) => drop(vacant.insert(Arc::clone(answers))),
            Entry::Occupied(mut claimed) => {
                let both = claimed.get().backends.iter().chain(&answers.backends);
                let both = ServicePort {
                    backends: both.copied().collect(),
                    is_sticky: claimed.get().is_sticky || answers.is_sticky,
                };
                claimed.insert(Arc::new(both));
            }
        }
    }
}

fn address(service: &wire::Service, text: &str) -> Result<IpAddr, ServicesError> {
    let wrong = |_| ServicesError::Address { service: name(service), address: text.to_owned() };
    text.parse().map(|ip: IpAddr| ip.to_canonical()).map_err(wrong)
}

fn number(service: &wire::Service, port: u32) -> Result<u16, ServicesError> {
    let number = u16::try_from(port).ok().filter(|port| *port != 0);
    number.ok_or_else(|| ServicesError::Port { service: name(service), port })
}

fn backends(
    service: &wire::Service,
    backends: &[Backend],
) -> Result<Box<[SocketAddr]>, ServicesError> {
    let backend = |one: &Backend| {
        Ok(SocketAddr::new(address(service, &one.address)?, number(service, one.port)?))
    };
    backends.iter().map(backend).collect()
}

fn name(service: &wire::Service) -> String {
    format!("{}/{}", service.namespace, service.name)
}

#[cfg(test)]
mod tests;
