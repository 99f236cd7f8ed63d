//! A policy compiled the way agent and sidecar do it.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use remora_parsers::Registry;
use remora_policy::{
    Catalog, ClusterView, Endpoint, Labels, NamedPorts, PolicySet, Slice, encode, read_policy,
};

/// The slice of a server with these labels, where `client` is the identity of
/// `app: client`.
///
/// # Panics
/// The policy is refused.
pub(crate) fn compile(yaml: &str, server: &str, client: u32) -> Slice {
    let document = remora_manifest::read(yaml, Path::new("random.yaml")).remove(0).expect("YAML");
    let mut policies = PolicySet::default();
    policies.insert(read_policy(&document, Registry::BUILT_IN));
    assert_eq!(policies.refused().count(), 0, "{yaml}");
    let server = Labels::parse(server).expect("labels");
    let ips = [IpAddr::from([192, 0, 2, 1])];
    let ports = NamedPorts::default();
    let endpoint = Endpoint { id: 1, ips: &ips, labels: &server, ports: &ports };
    let labels = Labels::parse("app=client").expect("labels");
    let identities = BTreeMap::from([(client, labels.into())]);
    let view = ClusterView { identities: &identities, catalog: &Catalog::default() };
    let encoded = encode(&policies, &endpoint, &view);
    Slice::compile(&encoded.policy, Registry::BUILT_IN).expect("a slice")
}
