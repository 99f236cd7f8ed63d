//! What policies name by reference, from manifests: CIDR groups and Services.

use remora_manifest::{Field, FieldError, Node};
use remora_policy::{Catalog, Labels, ServiceBackends, read_cidr_group};

use super::pods::{Pairs, metadata};

/// The groups and Services among the manifests. Services without a selector,
/// whose endpoints others write, are left out.
pub(super) fn read(nodes: &[Node]) -> Result<Catalog, FieldError> {
    let mut catalog = Catalog::default();
    for node in nodes {
        match node.get("kind").and_then(Node::as_str) {
            Some("CiliumCIDRGroup") => {
                let (_, name, _) = metadata(node)?;
                catalog.groups.insert(name, Some(read_cidr_group(node)?));
            }
            Some("Service") => {
                let (namespace, name, labels) = metadata(node)?;
                let Some(selector) = selector(node)? else { continue };
                let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                let backends = ServiceBackends {
                    labels: Labels::of_object(labels),
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
