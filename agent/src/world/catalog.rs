//! What policies name by reference, and the services that pods call.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use remora_api::services::{self as wire, Backend};
use remora_policy::{Catalog, Labels, Prefix, ServiceBackends};

use super::World;
use super::service::{EndpointSlice, Service, ServiceKey};

/// Where the API server is told of.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// A service, as sidecars are told of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Callable {
    /// By its own addresses; without any, it is called by its backends' alone.
    pub(super) service: wire::Service,
    /// The ports by which it is called at every node.
    pub(super) node_ports: Vec<wire::ServicePort>,
    /// Everybody behind it.
    pub(super) backends: BTreeSet<IpAddr>,
}

/// What is known of services and groups, and whether it is news.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) catalog: Catalog,
    /// Something that policies name by reference is another than before, or
    /// the API server is elsewhere.
    pub(super) is_catalog_changed: bool,
    pub(super) callables: Arc<Vec<Callable>>,
    /// The services, or who is behind them, are others than before.
    pub(super) are_callables_changed: bool,
    /// The addresses of the API server.
    pub(super) api_server: BTreeSet<IpAddr>,
}

impl References {
    /// Whether the API server has this address.
    pub(super) fn is_api_server(&self, prefix: &Prefix) -> bool {
        self.api_server.iter().any(|address| Prefix::host(*address) == *prefix)
    }
}

impl World {
    /// Takes note of services, their endpoints and groups of addresses.
    pub(super) fn take_catalog(&mut self) {
        let services = !self.services.take_changed().is_empty();
        let endpoints = !self.endpoint_slices.take_changed().is_empty();
        let groups = !self.cidr_groups.take_changed().is_empty();
        let own = &mut self.references;
        (own.is_catalog_changed, own.are_callables_changed) = (false, false);
        if !(services || endpoints || groups) {
            return;
        }
        let mut by_service: BTreeMap<ServiceKey, Vec<&EndpointSlice>> = BTreeMap::new();
        for (key, slice) in self.endpoint_slices.good() {
            if let Some(name) = slice.service.clone() {
                let key = ServiceKey { namespace: key.namespace.clone(), name };
                by_service.entry(key).or_default().push(slice);
            }
        }
        let catalog = Catalog {
            groups: self
                .cidr_groups
                .all()
                .map(|(name, own)| (name.clone(), own.cloned()))
                .collect(),
            services: self
                .services
                .all()
                .map(|(key, service)| {
                    let named = (key.namespace.clone(), key.name.clone());
                    let slices = by_service.get(key).map_or(&[][..], Vec::as_slice);
                    (named, service.map(|service| backends(service, slices)))
                })
                .collect(),
        };
        own.is_catalog_changed = own.catalog != catalog;
        own.catalog = catalog;
        let callables: Vec<_> = self
            .services
            .good()
            .map(|(key, service)| callable(key, service, by_service.get(key)))
            .collect();
        own.are_callables_changed = *own.callables != callables;
        own.callables = Arc::new(callables);
        let (namespace, name) = API_SERVER;
        let key = ServiceKey { namespace: namespace.to_owned(), name: name.to_owned() };
        let slices = by_service.get(&key).into_iter().flatten();
        let api_server = slices.flat_map(|slice| slice.addresses.iter().copied()).collect();
        own.is_catalog_changed |= own.api_server != api_server;
        own.api_server = api_server;
    }
}

/// What a rule means by a service.
fn backends(service: &Service, slices: &[&EndpointSlice]) -> ServiceBackends {
    let pairs = service.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let addresses = slices.iter().flat_map(|slice| slice.addresses.iter().copied());
    ServiceBackends {
        labels: Labels::of_object(pairs),
        selector: service.selector.clone(),
        // Those of pods come and go, and are known by their labels.
        addresses: match service.selector {
            Some(_) => BTreeSet::new(),
            None => addresses.collect(),
        },
    }
}

fn callable(key: &ServiceKey, service: &Service, slices: Option<&Vec<&EndpointSlice>>) -> Callable {
    let slices = slices.map_or(&[][..], Vec::as_slice);
    let ready = |name: &str| -> Vec<Backend> {
        let mut backends: Vec<_> = slices
            .iter()
            .filter_map(|slice| Some((slice, *slice.ports.get(name)?)))
            .flat_map(|(slice, port)| slice.ready.iter().map(move |address| (*address, port)))
            .collect();
        backends.sort_unstable();
        backends.dedup();
        let backend = |(address, port): (IpAddr, u16)| Backend {
            address: address.to_string(),
            port: port.into(),
        };
        backends.into_iter().map(backend).collect()
    };
    let port =
        |number: u16, name: &str| wire::ServicePort { port: number.into(), backends: ready(name) };
    let ports = service.ports.iter();
    let node_ports = ports.clone().filter_map(|own| Some(port(own.node_port?, &own.name)));
    Callable {
        node_ports: node_ports.collect(),
        backends: slices.iter().flat_map(|slice| slice.ready.iter().copied()).collect(),
        service: wire::Service {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            addresses: service.addresses.iter().map(ToString::to_string).collect(),
            ports: ports.map(|own| port(own.port, &own.name)).collect(),
            affinity_seconds: service.affinity,
        },
    }
}
