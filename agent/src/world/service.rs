//! Services and their endpoints: by which addresses they are called, and who
//! answers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use remora_manifest::{Field, FieldError, Node};

use super::pod::{PodKey, labels, text};

/// Which Service or EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// `NAMESPACE/NAME`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a Service says of what matters here.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Service {
    pub(super) labels: BTreeMap<String, String>,
    /// The labels of its pods; none if its endpoints are given by hand.
    pub(super) selector: Option<BTreeMap<String, String>>,
    /// The addresses by which it is called that are nobody's own.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<ServicePort>,
    /// How long a client keeps its backend, in seconds; 0 is not at all.
    pub(super) affinity: u32,
}

/// One of its TCP ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServicePort {
    /// By which its endpoints' ports are found; empty if it has no name.
    pub(super) name: String,
    pub(super) port: u16,
    /// By which it is called at every node, if it is.
    pub(super) node_port: Option<u16>,
}

/// Some endpoints of a service.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct EndpointSlice {
    /// The service's name, in the same namespace.
    pub(super) service: Option<String>,
    /// The addresses of those that are ready.
    pub(super) ready: Vec<IpAddr>,
    /// All addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// Their TCP ports by name.
    pub(super) ports: BTreeMap<String, u16>,
}

/// The label that says whose endpoints they are.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

impl ServiceKey {
    pub(super) fn read(document: &Node) -> Result<Self, FieldError> {
        PodKey::read(document).map(|PodKey { namespace, name }| Self { namespace, name })
    }
}

impl Service {
    pub(super) fn read(document: &Node) -> Result<Self, FieldError> {
        let root = Field::root(document);
        let spec = root.require("spec")?;
        let selector = match spec.get_given("selector")? {
            Some(field) => strings(&field)?,
            None => BTreeMap::new(),
        };
        let mut service = Self {
            labels: labels(&root.require("metadata")?)?,
            selector: (!selector.is_empty()).then_some(selector),
            affinity: affinity(&spec)?,
            ..Self::default()
        };
        if text(&spec, "type")?.as_deref() == Some("ExternalName") {
            return Ok(service);
        }
        service.addresses = service_addresses(&root, &spec)?;
        for item in items(&spec, "ports")? {
            if is_tcp(&item)? {
                service.ports.push(ServicePort {
                    name: text(&item, "name")?.unwrap_or_default(),
                    port: port(&item.require("port")?)?,
                    node_port: item.get_given("nodePort")?.map(|own| port(&own)).transpose()?,
                });
            }
        }
        Ok(service)
    }
}

impl EndpointSlice {
    pub(super) fn read(document: &Node) -> Result<Self, FieldError> {
        let root = Field::root(document);
        let service = labels(&root.require("metadata")?)?.remove(SERVICE_LABEL);
        let mut slice = Self { service, ..Self::default() };
        if text(&root, "addressType")?.as_deref() == Some("FQDN") {
            return Ok(slice);
        }
        for endpoint in items(&root, "endpoints")? {
            let ready = match endpoint.get_given("conditions")? {
                Some(conditions) => conditions.get_given("ready")?,
                None => None,
            };
            // Not known means ready: discovery.k8s.io/v1, EndpointConditions.
            let ready = ready.map_or(Ok(true), |field| field.boolean())?;
            for item in items(&endpoint, "addresses")? {
                let address = address(&item)?;
                slice.addresses.push(address);
                slice.ready.extend(ready.then_some(address));
            }
        }
        for item in items(&root, "ports")? {
            if let (true, Some(field)) = (is_tcp(&item)?, item.get_given("port")?) {
                slice.ports.insert(text(&item, "name")?.unwrap_or_default(), port(&field)?);
            }
        }
        Ok(slice)
    }
}

/// The cluster's, external ones, and those of load balancers.
fn service_addresses(root: &Field<'_>, spec: &Field<'_>) -> Result<Vec<IpAddr>, FieldError> {
    let mut addresses = Vec::new();
    let own = items(spec, "clusterIPs")?.into_iter().chain(spec.get_given("clusterIP")?);
    for field in own.filter(|field| !matches!(field.node.as_str(), Some("None" | ""))) {
        addresses.push(address(&field)?);
    }
    for item in items(spec, "externalIPs")? {
        addresses.push(address(&item)?);
    }
    if let Some(status) = root.get_given("status")?
        && let Some(balancer) = status.get_given("loadBalancer")?
    {
        for item in items(&balancer, "ingress")? {
            if let Some(field) = item.get_given("ip")? {
                addresses.push(address(&field)?);
            }
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

fn affinity(spec: &Field<'_>) -> Result<u32, FieldError> {
    /// Kubernetes' own default, in seconds.
    const THREE_HOURS: u32 = 10_800;
    if text(spec, "sessionAffinity")?.as_deref() != Some("ClientIP") {
        return Ok(0);
    }
    let config = spec.get_given("sessionAffinityConfig")?;
    let client = config.map_or(Ok(None), |config| config.get_given("clientIP"))?;
    let seconds = client.map_or(Ok(None), |client| client.get_given("timeoutSeconds"))?;
    let seconds = seconds.map_or(Ok(i64::from(THREE_HOURS)), |field| field.integer())?;
    Ok(u32::try_from(seconds).unwrap_or(THREE_HOURS))
}

fn items<'a>(field: &Field<'a>, name: &str) -> Result<Vec<Field<'a>>, FieldError> {
    Ok(match field.get_given(name)? {
        Some(list) => list.items()?.collect(),
        None => Vec::new(),
    })
}

fn strings(field: &Field<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let entry = |(key, own): (&remora_manifest::Key, Field<'_>)| {
        Ok((key.name.clone(), own.string()?.to_owned()))
    };
    field.entries()?.map(entry).collect()
}

fn is_tcp(field: &Field<'_>) -> Result<bool, FieldError> {
    Ok(text(field, "protocol")?.is_none_or(|protocol| protocol == "TCP"))
}

fn port(field: &Field<'_>) -> Result<u16, FieldError> {
    let number = field.integer()?;
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| {
        field.error(format!("{number} is no port"), "write a number from 1 to 65535")
    })
}

fn address(field: &Field<'_>) -> Result<IpAddr, FieldError> {
    let text = field.string()?;
    let remedy = "write an address such as 10.96.0.10";
    let address: IpAddr =
        text.parse().map_err(|_| field.error(format!("`{text}` is no IP address"), remedy))?;
    Ok(address.to_canonical())
}
