//! A cluster from manifests, as `kubectl get pods,namespaces,services -o yaml`
//! gives them: who pods are, and by which addresses, and what policies name by
//! reference.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use remora_manifest::{Field, FieldError, Node};
use remora_policy::{Catalog, Labels, NamedPorts};

use super::{catalog, load};

/// What was given of a cluster.
#[derive(Default)]
pub(super) struct Cluster {
    pub(super) pods: Vec<Pod>,
    pub(super) catalog: Catalog,
}

/// A pod that was given.
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: NamedPorts,
}

pub(super) type Pairs = BTreeMap<String, String>;

/// Everything of the files that matters. Pods have the labels of their
/// namespaces if those are there.
pub(super) fn read(files: &[PathBuf]) -> Result<Cluster, String> {
    let mut nodes = Vec::new();
    for file in files {
        for document in load::documents(file)? {
            let document = document?;
            match document.get("items").map(|items| &items.value) {
                Some(remora_manifest::Value::List(items)) => nodes.extend(items.iter().cloned()),
                _ => nodes.push(document),
            }
        }
    }
    let is = |node: &&Node, kind: &str| node.get("kind").and_then(Node::as_str) == Some(kind);
    let mut namespaces = BTreeMap::new();
    for node in nodes.iter().filter(|node| is(node, "Namespace")) {
        let (_, name, labels) = metadata(node).map_err(|error| error.to_string())?;
        namespaces.insert(name, labels);
    }
    let pods = nodes.iter().filter(|node| is(node, "Pod"));
    let pods = pods.map(|node| pod(node, &namespaces)).collect::<Result<_, _>>();
    let read = pods.and_then(|pods| Ok(Cluster { pods, catalog: catalog::read(&nodes)? }));
    read.map_err(|error| error.to_string())
}

fn pod(node: &Node, namespaces: &BTreeMap<String, Pairs>) -> Result<Pod, FieldError> {
    let root = Field::root(node);
    let (namespace, name, labels) = metadata(node)?;
    let spec = root.require("spec")?;
    let account = match spec.get_given("serviceAccountName")? {
        Some(field) => field.string()?,
        None => "default",
    };
    let above = namespaces.get(&namespace).into_iter().flatten();
    Ok(Pod {
        labels: Labels::of_pod(
            &namespace,
            labels.iter().map(|(key, value)| (key.as_str(), value.as_str())),
            above.map(|(key, value)| (key.as_str(), value.as_str())),
            account,
        ),
        addresses: addresses(&root)?,
        ports: NamedPorts::of_pod(ports(&spec)?),
        namespace,
        name,
    })
}

/// Namespace, name and labels.
pub(super) fn metadata(node: &Node) -> Result<(String, String, Pairs), FieldError> {
    let metadata = Field::root(node).require("metadata")?;
    let name = metadata.require("name")?.string()?.to_owned();
    let namespace = match metadata.get_given("namespace")? {
        Some(field) => field.string()?,
        None => "default",
    };
    let mut labels = Pairs::new();
    if let Some(field) = metadata.get_given("labels")? {
        for (key, value) in field.entries()? {
            labels.insert(key.name.clone(), value.string()?.to_owned());
        }
    }
    Ok((namespace.to_owned(), name, labels))
}

fn addresses(root: &Field<'_>) -> Result<Vec<IpAddr>, FieldError> {
    let Some(status) = root.get_given("status")? else { return Ok(Vec::new()) };
    let Some(list) = status.get_given("podIPs")? else { return Ok(Vec::new()) };
    let address = |item: Field<'_>| {
        let field = item.require("ip")?;
        field.string()?.parse().map_err(|_| field.error("is no address", "write an IP address"))
    };
    list.items()?.map(address).collect()
}

/// The TCP ports to which its containers give a name.
fn ports(spec: &Field<'_>) -> Result<Vec<(String, u16)>, FieldError> {
    let mut named = Vec::new();
    let Some(containers) = spec.get_given("containers")? else { return Ok(named) };
    for container in containers.items()? {
        let Some(ports) = container.get_given("ports")? else { continue };
        for port in ports.items()? {
            let protocol = port.get_given("protocol")?;
            let is_tcp = protocol.map_or(Ok("TCP"), |own| own.string())? == "TCP";
            let number = u16::try_from(port.require("containerPort")?.integer()?);
            if let (Some(name), Ok(number), true) = (port.get_given("name")?, number, is_tcp) {
                named.push((name.string()?.to_owned(), number));
            }
        }
    }
    Ok(named)
}
