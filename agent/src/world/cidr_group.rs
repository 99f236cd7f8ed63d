//! `CiliumCIDRGroup`s: addresses under a name.

use remora_manifest::{Field, FieldError, Node};
use remora_policy::{CidrGroup, Labels, Prefix};

use super::pod::{checked, is_subdomain, labels};

pub(super) fn read_name(document: &Node) -> Result<String, FieldError> {
    checked(&Field::root(document).require("metadata")?.require("name")?, is_subdomain)
}

pub(super) fn read(document: &Node) -> Result<CidrGroup, FieldError> {
    let root = Field::root(document);
    let own = labels(&root.require("metadata")?)?;
    let list = root.require("spec")?.require("externalCIDRs")?;
    let prefix = |item: Field<'_>| {
        let remedy = "write ranges of addresses such as 192.0.2.0/24";
        Prefix::read(item.string()?).map_err(|error| item.error(error.to_string(), remedy))
    };
    Ok(CidrGroup {
        labels: Labels::of_object(own.iter().map(|(key, value)| (key.as_str(), value.as_str()))),
        prefixes: list.items()?.map(prefix).collect::<Result<_, _>>()?,
    })
}
