//! What policies name by reference, from manifests: CIDR groups and Services.

use remora_manifest::{Field, FieldError, Node};
use remora_policy::{Catalog, CidrGroup, Labels, Prefix, ServiceBackends};

use super::pods::{Pairs, metadata};

/// The groups and Services among the manifests. Services without a selector,
/// whose endpoints others write, are left out.
pub(super) fn read(nodes: &[Node]) -> Result<Catalog, FieldError> {
    let mut catalog = Catalog::default();
    for node in nodes {
        match node.get("kind").and_then(Node::as_str) {
            Some("CiliumCIDRGroup") => {
                let (_, name, labels) = metadata(node)?;
                let group = CidrGroup { labels: own(&labels), prefixes: prefixes(node)? };
                catalog.groups.insert(name, Some(group));
            }
            Some("Service") => {
                let (namespace, name, labels) = metadata(node)?;
                let Some(selector) = selector(node)? else { continue };
                let backends = ServiceBackends {
                    labels: own(&labels),
                    selector: Some(selector),
                    ..ServiceBackends::default()
                };
                catalog.services.insert((namespace, name), Some(backends));
            }
            _ => {}
        }
    }
    Ok(catalog)
}

fn own(labels: &Pairs) -> Labels {
    Labels::of_object(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn prefixes(node: &Node) -> Result<Vec<Prefix>, FieldError> {
    let list = Field::root(node).require("spec")?.require("externalCIDRs")?;
    let prefix = |item: Field<'_>| {
        let remedy = "write ranges of addresses such as 192.0.2.0/24";
        Prefix::read(item.string()?).map_err(|error| item.error(error.to_string(), remedy))
    };
    list.items()?.map(prefix).collect()
}

fn selector(node: &Node) -> Result<Option<Pairs>, FieldError> {
    let Some(field) = Field::root(node).require("spec")?.get_given("selector")? else {
        return Ok(None);
    };
    let pair = |(key, value): (&remora_manifest::Key, Field<'_>)| {
        Ok((key.name.clone(), value.string()?.to_owned()))
    };
    let pairs = field.entries()?.map(pair).collect::<Result<Pairs, _>>()?;
    Ok((!pairs.is_empty()).then_some(pairs))
}
