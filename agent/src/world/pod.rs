//! Pods and namespaces, read from their manifests.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use remora_manifest::{Field, FieldError, Node};
use remora_policy::{Labels, NamedPorts};

use super::endpoint::{self, OnNode, Taken};

/// Which pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// `NAMESPACE/NAME`.
impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a pod's manifest says of what matters here.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    /// Which pod.
    pub(super) key: PodKey,
    /// Its uid, or nothing.
    pub(super) uid: String,
    /// Its own labels.
    pub(super) labels: BTreeMap<String, String>,
    /// Its service account.
    pub(super) service_account: String,
    /// The node that it runs on; none yet.
    pub(super) node: Option<String>,
    /// What its containers call their TCP ports.
    pub(super) ports: NamedPorts,
    /// Its own addresses: none yet, or none at all on its host's network.
    pub(super) addresses: Vec<IpAddr>,
    /// It has run to its end, and its addresses may be another's by now.
    pub(super) is_completed: bool,
    /// It uses its node's addresses.
    pub(super) is_on_host_network: bool,
    /// It carries a sidecar of ours, or the wait for its node's proxy.
    pub(super) is_injected: bool,
    /// Its node's proxy serves it: it has no sidecar that would ask.
    pub(super) is_of_node: bool,
    /// What its node's proxy has to know; none if it has a sidecar of its own,
    /// or has no node or no address yet.
    pub(super) on_node: Option<Arc<OnNode>>,
    /// The variables that it gives in vain.
    pub(super) left_out: Vec<String>,
    /// The injector's annotation is on it.
    pub(super) is_marked: bool,
    /// `FILE:LINE` of its manifest.
    pub(super) place: String,
    /// The reading of the file that this came from.
    pub(super) revision: u64,
}

/// What a namespace's manifest says of what matters here.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Namespace {
    /// Its labels.
    pub(super) labels: BTreeMap<String, String>,
    /// Its pods are to be injected, or are not: somebody has decided about them.
    pub(super) is_marked: bool,
}

/// What the injector writes on a pod.
const STATUS_ANNOTATION: &str = "remora.dev/status";
/// What users write on a namespace.
const INJECT_LABEL: &str = "remora.dev/inject";

/// The name of the container that the injector adds.
const SIDECAR: &str = "remora";

impl PodKey {
    pub(super) fn read(document: &Node) -> Result<Self, FieldError> {
        let metadata = Field::root(document).require("metadata")?;
        let name = checked(&metadata.require("name")?, is_subdomain)?;
        let namespace = match metadata.get_given("namespace")? {
            Some(field) => checked(&field, is_label)?,
            None => "default".to_owned(),
        };
        Ok(Self { namespace, name })
    }
}

impl Pod {
    pub(super) fn read(key: PodKey, document: &Node, revision: u64) -> Result<Self, FieldError> {
        let root = Field::root(document);
        let metadata = root.require("metadata")?;
        let spec = root.require("spec")?;
        let is_on_host_network =
            spec.get_given("hostNetwork")?.map_or(Ok(false), |field| field.boolean())?;
        let status = root.get_given("status")?;
        let phase = status.as_ref().map_or(Ok(None), |status| status.get_given("phase"))?;
        let phase = phase.as_ref().map_or(Ok(""), Field::string)?;
        let addresses = match &status {
            Some(status) if !is_on_host_network => addresses(status)?,
            _ => Vec::new(),
        };
        let uid = text(&metadata, "uid")?.unwrap_or_default();
        let node = text(&spec, "nodeName")?.filter(|name| !name.is_empty());
        let container = ours(&spec)?;
        let served = container.filter(|own| !is_sidecar(own)).map(endpoint::variables);
        let is_of_node = served.is_some();
        let Taken { variables, left_out } = served.unwrap_or_default();
        let host = status.as_ref().map_or(Ok(None), |status| text(status, "hostIP"))?;
        let on_node = node.as_deref().filter(|_| is_of_node && !addresses.is_empty());
        let on_node = on_node
            .map(|node| OnNode::new(node, (&key, &uid), &addresses, host.as_deref(), variables));
        Ok(Self {
            uid,
            labels: labels(&metadata)?,
            service_account: match text(&spec, "serviceAccountName")? {
                Some(name) => name,
                None => text(&spec, "serviceAccount")?.unwrap_or_else(|| "default".to_owned()),
            },
            node,
            ports: named_ports(&spec)?,
            addresses,
            is_completed: matches!(phase, "Succeeded" | "Failed"),
            is_on_host_network,
            is_injected: container.is_some(),
            is_of_node,
            on_node: on_node.map(Arc::new),
            left_out,
            is_marked: has_key(&metadata, "annotations", STATUS_ANNOTATION)?,
            place: document.location.file_and_line().to_string(),
            key,
            revision,
        })
    }
}

impl Pod {
    /// All labels that it has, given its namespace.
    pub(super) fn labels_in(&self, namespace: Option<&Namespace>) -> Labels {
        Labels::of_pod(
            &self.key.namespace,
            pairs(&self.labels),
            namespace.into_iter().flat_map(|own| pairs(&own.labels)),
            &self.service_account,
        )
    }
}

impl Namespace {
    pub(super) fn read_name(document: &Node) -> Result<String, FieldError> {
        checked(&Field::root(document).require("metadata")?.require("name")?, is_label)
    }

    pub(super) fn read(document: &Node) -> Result<Self, FieldError> {
        let labels = labels(&Field::root(document).require("metadata")?)?;
        Ok(Self { is_marked: labels.contains_key(INJECT_LABEL), labels })
    }
}

fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

pub(super) fn text(field: &Field<'_>, name: &str) -> Result<Option<String>, FieldError> {
    field.get_given(name)?.map(|own| own.string().map(str::to_owned)).transpose()
}

pub(super) fn labels(metadata: &Field<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let Some(labels) = metadata.get_given("labels")? else { return Ok(BTreeMap::new()) };
    labels
        .entries()?
        .map(|(key, field)| Ok((key.name.clone(), field.string()?.to_owned())))
        .collect()
}

fn has_key(field: &Field<'_>, map: &str, key: &str) -> Result<bool, FieldError> {
    let Some(map) = field.get_given(map)? else { return Ok(false) };
    Ok(map.get_given(key)?.is_some())
}

/// `status.podIPs`, or `status.podIP` of old.
fn addresses(status: &Field<'_>) -> Result<Vec<IpAddr>, FieldError> {
    let mut addresses = Vec::new();
    if let Some(list) = status.get_given("podIPs")? {
        for item in list.items()? {
            addresses.push(address(&item.require("ip")?)?);
        }
    } else if let Some(field) = status.get_given("podIP")?
        && field.node.as_str() != Some("")
    {
        addresses.push(address(&field)?);
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

fn address(field: &Field<'_>) -> Result<IpAddr, FieldError> {
    let remedy = "write the pod's address as the kubelet reports it";
    let text = field.string()?;
    let address: IpAddr =
        text.parse().map_err(|_| field.error(format!("`{text}` is no IP address"), remedy))?;
    // A pod that claimed one of these would pose as everybody on its node.
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(field.error(format!("{address} can be no pod's address"), remedy));
    }
    Ok(address.to_canonical())
}

/// The TCP ports to which containers give a name. Those that end before others
/// begin have none to call.
fn named_ports(spec: &Field<'_>) -> Result<NamedPorts, FieldError> {
    let mut named = Vec::new();
    for list in ["containers", "initContainers"] {
        let Some(containers) = spec.get_given(list)? else { continue };
        for container in containers.items()? {
            let stays = list == "containers" || text(&container, "restartPolicy")?.is_some();
            let Some(ports) = container.get_given("ports")?.filter(|_| stays) else { continue };
            for port in ports.items()? {
                let is_tcp = text(&port, "protocol")?.is_none_or(|protocol| protocol == "TCP");
                let number = port.require("containerPort")?.integer()?;
                if let (Some(name), Ok(number), true) =
                    (text(&port, "name")?, u16::try_from(number), is_tcp)
                {
                    named.push((name, number));
                }
            }
        }
    }
    Ok(NamedPorts::of_pod(named))
}

/// The container that the injector has added.
fn ours<'a>(spec: &Field<'a>) -> Result<Option<&'a Node>, FieldError> {
    let Some(containers) = spec.get_given("initContainers")? else { return Ok(None) };
    let is_ours = |item: &&Node| item.get("name").and_then(Node::as_str) == Some(SIDECAR);
    Ok(containers.items()?.map(|item| item.node).find(is_ours))
}

/// Whether it stays as long as the pod. One that ends waits for the node's proxy.
fn is_sidecar(container: &Node) -> bool {
    container.get("restartPolicy").and_then(Node::as_str) == Some("Always")
}

fn checked(field: &Field<'_>, is_valid: fn(&str) -> bool) -> Result<String, FieldError> {
    let name = field.string()?;
    if is_valid(name) {
        return Ok(name.to_owned());
    }
    let problem = format!("`{name}` is no name that Kubernetes allows here");
    Err(field.error(problem, "write lower-case letters, digits, `-` and, in a pod's name, `.`"))
}

/// The name of an object that is in no namespace.
pub(super) fn cluster_wide_name(document: &Node) -> Result<String, FieldError> {
    checked(&Field::root(document).require("metadata")?.require("name")?, is_subdomain)
}

/// RFC 1123 section 2.1, as Kubernetes has it. The names become names of
/// folders: nothing here may lead out of them or make two pods one.
fn is_label(name: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    name.len() <= 63
        && bytes.iter().all(|c| is_word(*c) || *c == b'-')
        && bytes.first().is_some_and(|c| is_word(*c))
        && bytes.last().is_some_and(|c| is_word(*c))
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}
