//! `CiliumCIDRGroup`s: addresses under a name.

use remora_manifest::{Field, FieldError, Node};

use crate::{labels::Labels, prefix::Prefix, view::CidrGroup};

/// Reads a `CiliumCIDRGroup`: its labels and `spec.externalCIDRs`.
///
/// # Errors
/// The field that is missing or wrong.
pub fn read_cidr_group(document: &Node) -> Result<CidrGroup, FieldError> {
    let root = Field::root(document);
    let mut labels = Vec::new();
    if let Some(field) = root.require("metadata")?.get_given("labels")? {
        for (key, value) in field.entries()? {
            labels.push((key.name.as_str(), value.string()?.to_owned()));
        }
    }
    let prefix = |item: Field<'_>| {
        let remedy = "write ranges of addresses such as 192.0.2.0/24";
        Prefix::read(item.string()?).map_err(|error| item.error(error.to_string(), remedy))
    };
    let list = root.require("spec")?.require("externalCIDRs")?;
    Ok(CidrGroup {
        labels: Labels::of_object(labels.iter().map(|(key, value)| (*key, value.as_str()))),
        prefixes: list.items()?.map(prefix).collect::<Result<_, _>>()?,
    })
}
