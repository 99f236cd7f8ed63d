//! What the sidecar makes of the agent's responses: state of the world, each
//! one accepted whole or refused whole.
//!
//! Numeric identities mean something within one agent connection only. So
//! nothing of a new connection applies before its first policy, its first hosts
//! and its first services are there, and none is acknowledged before it applies.
//! An agent that knows of no services has said so by not having that stream.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use remora_api::{
    cilium::{NetworkPolicy, NetworkPolicyHosts},
    core::Node,
    discovery::{DiscoveryRequest, DiscoveryResponse},
    rpc::Status,
    services::Service,
    wire::Resource,
};
use remora_parsers::Registry;
use remora_policy::{Hosts, Slice};

use crate::{
    config::Pod,
    metrics::Metrics,
    saved::{Keeper, Saved},
    services::Services,
    snapshot::{Size, Snapshot, Source, Store},
};

/// gRPC's INVALID_ARGUMENT, the code of a NACK.
pub(super) const INVALID_ARGUMENT: i32 = 3;

/// The most bytes of a NACK's message.
const MAX_MESSAGE_BYTES: usize = 1024;

/// One of a connection's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// NPDS
    Policies,
    /// NPHDS
    Hosts,
    /// Remora's own.
    Services,
}

/// What the agent is to be told.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing yet: another stream's first response is missing.
    Wait,
    /// These responses are in force.
    Acks(Vec<(Kind, DiscoveryRequest)>),
    /// This response is refused; what is in force stays so.
    Nack(DiscoveryRequest),
}

/// All streams of one agent connection.
#[derive(Debug)]
pub(super) struct Exchange {
    node: Node,
    ips: Vec<IpAddr>,
    registry: Registry,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    /// Who keeps what is in force for the next start; nobody, where it comes
    /// from there.
    keeper: Option<Arc<Keeper>>,
    policies: Stream<Policy>,
    hosts: Stream<Addresses>,
    services: Stream<Arc<Services>>,
}

/// One stream: the newest good state, and what is still to be acknowledged.
#[derive(Debug)]
struct Stream<T> {
    state: Option<T>,
    /// The response that brought it.
    raw: Option<Arc<DiscoveryResponse>>,
    /// The last version that was accepted.
    version: String,
    /// The nonce of an accepted response that waits for its acknowledgement.
    unacked: Option<String>,
}

#[derive(Debug)]
struct Policy {
    slice: Arc<Slice>,
    version: Arc<str>,
    size: Size,
}

#[derive(Debug)]
struct Addresses {
    hosts: Arc<Hosts>,
    identities: usize,
    addresses: usize,
}

impl Exchange {
    pub(super) fn new(
        pod: &Pod,
        registry: Registry,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        keeper: Option<Arc<Keeper>>,
    ) -> Self {
        Self {
            node: Node { id: node_id(pod), cluster: String::new() },
            ips: pod.ips.clone(),
            registry,
            store,
            metrics,
            keeper,
            policies: Stream::new(),
            hosts: Stream::new(),
            services: Stream::new(),
        }
    }

    /// The request that opens a stream.
    pub(super) fn first(&self, kind: Kind) -> DiscoveryRequest {
        self.request(kind, String::new(), String::new())
    }

    /// Whether anything of this connection is in force.
    pub(super) fn applied(&self) -> bool {
        self.policies.state.is_some() && self.hosts.state.is_some() && self.services.state.is_some()
    }

    /// What this connection still lacks before it can apply.
    pub(super) fn missing(&self) -> &'static str {
        match (&self.policies.state, &self.hosts.state, &self.services.state) {
            (None, None, _) => "connected, but it has sent nothing yet",
            (None, Some(_), _) => "connected, but it has sent no policy yet",
            (Some(_), None, _) => "connected, but it has sent no addresses (NPHDS) yet",
            (Some(_), Some(_), None) => "connected, but it has sent no services yet",
            (Some(_), Some(_), Some(_)) => "nothing is missing",
        }
    }

    /// Where the exchange's results go.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Where it is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes a response whole, or refuses it.
    pub(super) fn take(&mut self, kind: Kind, response: DiscoveryResponse) -> Answer {
        let response = Arc::new(response);
        let taken = match kind {
            Kind::Policies => self.read_policy(&response).map(|state| {
                self.policies.accept(state, &response);
            }),
            Kind::Hosts => read_hosts(&response).map(|state| self.hosts.accept(state, &response)),
            Kind::Services => {
                read_services(&response).map(|state| self.services.accept(state, &response))
            }
        };
        match taken {
            Ok(()) => self.apply(),
            Err(why) => Answer::Nack(self.nack(kind, &response, why)),
        }
    }

    /// Takes all parts of what was saved.
    ///
    /// # Errors
    /// Why it is refused now, whatever it was when it was saved.
    pub(super) fn replay(&mut self, saved: Saved) -> Result<(), String> {
        let parts = [
            (Kind::Policies, Some(saved.policies)),
            (Kind::Hosts, Some(saved.hosts)),
            (Kind::Services, saved.services),
        ];
        for (kind, response) in parts {
            let answer = match response {
                Some(response) => self.take(kind, response),
                None => self.without_services(),
            };
            if let Answer::Nack(request) = answer {
                let status = request.error_detail.unwrap_or_default();
                return Err(status.message);
            }
        }
        Ok(())
    }

    /// The agent has no such stream: whatever is dialled, it is no service.
    pub(super) fn without_services(&mut self) -> Answer {
        self.services.state = Some(Arc::default());
        self.apply()
    }

    fn apply(&mut self) -> Answer {
        let (Some(policy), Some(addresses), Some(services)) =
            (&self.policies.state, &self.hosts.state, &self.services.state)
        else {
            return Answer::Wait;
        };
        let source = match &self.keeper {
            Some(keeper) => {
                let services = self.services.raw.as_ref();
                if let (Some(policies), Some(hosts)) = (&self.policies.raw, &self.hosts.raw) {
                    keeper.supersede(policies, hosts, services);
                }
                Source::Agent
            }
            None => Source::Disk,
        };
        self.store.swap(Snapshot {
            source,
            policies: self.policies.raw.clone().unwrap_or_default(),
            slice: Arc::clone(&policy.slice),
            hosts: Arc::clone(&addresses.hosts),
            services: Arc::clone(services),
            version: Arc::clone(&policy.version),
            size: Size {
                identities: addresses.identities,
                addresses: addresses.addresses,
                services: services.len(),
                ..policy.size
            },
        });
        if self.policies.unacked.is_some() {
            self.metrics.policy_applied(&policy.version, SystemTime::now());
        }
        let nonces = [
            (Kind::Policies, self.policies.unacked.take()),
            (Kind::Hosts, self.hosts.unacked.take()),
            (Kind::Services, self.services.unacked.take()),
        ];
        let ack = |(kind, nonce): (_, Option<_>)| {
            nonce.map(|nonce| (kind, self.request(kind, self.version(kind), nonce)))
        };
        Answer::Acks(nonces.into_iter().filter_map(ack).collect())
    }

    fn read_policy(&self, response: &DiscoveryResponse) -> Result<Policy, String> {
        let mut policies = resources::<NetworkPolicy>(response)?;
        let (Some(policy), true) = (policies.pop(), policies.is_empty()) else {
            let count = response.resources.len();
            return Err(format!("a pod has exactly one policy, and there are {count}"));
        };
        // Mapped or not, `::ffff:10.0.0.1` and `10.0.0.1` are one address.
        let ours = |text: &String| {
            text.parse::<IpAddr>().is_ok_and(|ip| self.ips.contains(&ip.to_canonical()))
        };
        if !policy.endpoint_ips.iter().any(ours) {
            return Err(format!(
                "endpoint_ips {:?} holds none of this pod's addresses {:?}: it is another pod's",
                policy.endpoint_ips, self.ips
            ));
        }
        let slice = Slice::compile(&policy, self.registry).map_err(|error| error.to_string())?;
        let (ingress, egress) =
            (&policy.ingress_per_port_policies, &policy.egress_per_port_policies);
        Ok(Policy {
            slice: Arc::new(slice),
            version: response.version_info.as_str().into(),
            size: Size {
                ports: ingress.len(),
                egress_ports: egress.len(),
                rules: ingress.iter().chain(egress).map(|port| port.rules.len()).sum(),
                ..Size::default()
            },
        })
    }

    fn nack(&mut self, kind: Kind, response: &DiscoveryResponse, why: String) -> DiscoveryRequest {
        // Whatever was accepted before is superseded: its nonce is stale.
        let _stale = match kind {
            Kind::Policies => self.policies.unacked.take(),
            Kind::Hosts => self.hosts.unacked.take(),
            Kind::Services => self.services.unacked.take(),
        };
        let mut message = why;
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        let mut request = self.request(kind, self.version(kind), response.nonce.clone());
        request.error_detail = Some(Status { code: INVALID_ARGUMENT, message });
        request
    }

    fn version(&self, kind: Kind) -> String {
        match kind {
            Kind::Policies => self.policies.version.clone(),
            Kind::Hosts => self.hosts.version.clone(),
            Kind::Services => self.services.version.clone(),
        }
    }

    fn request(&self, kind: Kind, version: String, nonce: String) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: version,
            node: Some(self.node.clone()),
            resource_names: Vec::new(),
            type_url: match kind {
                Kind::Policies => NetworkPolicy::TYPE_URL,
                Kind::Hosts => NetworkPolicyHosts::TYPE_URL,
                Kind::Services => Service::TYPE_URL,
            }
            .into(),
            response_nonce: nonce,
            error_detail: None,
        }
    }
}

impl<T> Stream<T> {
    fn new() -> Self {
        Self { state: None, raw: None, version: String::new(), unacked: None }
    }

    fn accept(&mut self, state: T, response: &Arc<DiscoveryResponse>) {
        self.state = Some(state);
        self.raw = Some(Arc::clone(response));
        self.version.clone_from(&response.version_info);
        self.unacked = Some(response.nonce.clone());
    }
}

fn read_hosts(response: &DiscoveryResponse) -> Result<Addresses, String> {
    let hosts = resources::<NetworkPolicyHosts>(response)?;
    Ok(Addresses {
        hosts: Arc::new(Hosts::compile(&hosts).map_err(|error| error.to_string())?),
        identities: hosts.len(),
        addresses: hosts.iter().map(|host| host.host_addresses.len()).sum(),
    })
}

fn read_services(response: &DiscoveryResponse) -> Result<Arc<Services>, String> {
    let services = Services::compile(&resources::<Service>(response)?);
    services.map(Arc::new).map_err(|error| error.to_string())
}

/// Every resource of a response, walked and decoded, or none of them.
pub(super) fn resources<R: Resource>(response: &DiscoveryResponse) -> Result<Vec<R>, String> {
    let right = |url: &str| url == R::TYPE_URL;
    if !right(&response.type_url) {
        return Err(format!("type_url is `{}`, not `{}`", response.type_url, R::TYPE_URL));
    }
    let mut read = Vec::with_capacity(response.resources.len());
    for (index, any) in response.resources.iter().enumerate() {
        if !right(&any.type_url) {
            return Err(format!("resources[{index}] is a `{}`", any.type_url));
        }
        let resource = R::from_wire(&any.value);
        read.push(resource.map_err(|error| format!("resources[{index}]: {error}"))?);
    }
    Ok(read)
}

/// `sidecar~ADDRESS~POD.NAMESPACE~UID`: four parts with the address second, as
/// servers of Envoy's API expect of a node's id.
fn node_id(pod: &Pod) -> String {
    let address = pod.ips.first().map(ToString::to_string).unwrap_or_default();
    format!("sidecar~{address}~{}.{}~{}", pod.name, pod.namespace, pod.uid)
}
