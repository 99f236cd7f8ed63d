//! Nodes: the ranges that their pods' addresses are of, and their own addresses.

use std::net::IpAddr;

use remora_manifest::{Field, FieldError, Node};
use remora_policy::Prefix;

/// What a node's object says of what matters here.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct ClusterNode {
    /// Where its pods get their addresses from; empty where the network plugin
    /// has its own ranges.
    pub(super) pod_ranges: Vec<Prefix>,
    /// Its own addresses, inside and outside.
    pub(super) addresses: Vec<IpAddr>,
}

impl ClusterNode {
    pub(super) fn read(document: &Node) -> Result<Self, FieldError> {
        let root = Field::root(document);
        let mut node = Self::default();
        if let Some(spec) = root.get_given("spec")? {
            node.pod_ranges = pod_ranges(&spec)?;
        }
        if let Some(list) =
            root.get_given("status")?.map_or(Ok(None), |status| status.get_given("addresses"))?
        {
            for item in list.items()? {
                // Names of hosts stand among them.
                let text = item.require("address")?.string()?;
                node.addresses.extend(text.parse::<IpAddr>().map(|found| found.to_canonical()));
            }
        }
        node.addresses.sort_unstable();
        node.addresses.dedup();
        Ok(node)
    }
}

/// `spec.podCIDRs`, or `spec.podCIDR` of old.
fn pod_ranges(spec: &Field<'_>) -> Result<Vec<Prefix>, FieldError> {
    if let Some(list) = spec.get_given("podCIDRs")? {
        return list.items()?.map(|item| range(&item)).collect();
    }
    match spec.get_given("podCIDR")? {
        Some(field) if field.node.as_str() != Some("") => Ok(vec![range(&field)?]),
        _ => Ok(Vec::new()),
    }
}

fn range(field: &Field<'_>) -> Result<Prefix, FieldError> {
    let text = field.string()?;
    text.parse()
        .map_err(|error| field.error(format!("{error}"), "give the node a range of its cluster"))
}
