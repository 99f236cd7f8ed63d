//! What the tests share: policies in force, a pod, its peers, and requests.

use std::{collections::BTreeMap, path::Path};

use remora_api::{cilium, wire::Resource};
use remora_parsers::{Field, Registry, Request, Value, Words};
use remora_policy::{
    Admission, Catalog, ClusterView, Decision, Encoded, Endpoint, Hosts, Identity, Labels,
    NamedPorts, PolicySet, Prefix, Reading, Slice, TrafficDirection, WORLD, encode, read_policy,
};

/// Reads every document of `yaml` as a policy.
pub(crate) fn readings(file: &str, yaml: &str) -> Vec<Reading> {
    remora_manifest::read(yaml, Path::new(file))
        .into_iter()
        .map(|document| read_policy(&document.expect("YAML"), Registry::BUILT_IN))
        .collect()
}

/// The policy of namespace `shop` whose spec this is.
pub(crate) fn policy(spec: &str) -> Reading {
    let yaml = document("cilium.io/v2", "CiliumNetworkPolicy", "{name: p, namespace: shop}", spec);
    let mut readings = readings("p.yaml", &yaml);
    readings.pop().expect("one document")
}

/// A policy's document; the spec begins in line 5.
pub(crate) fn document(api_version: &str, kind: &str, metadata: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {metadata}\nspec:\n{spec}")
}

/// The errors of a refused policy, one on each line.
pub(crate) fn errors(reading: &Reading) -> String {
    match reading {
        Reading::Refused(refused) => refused.report(),
        Reading::Accepted(policy) => panic!("accepted: {policy:?}"),
    }
}

/// The warnings of an accepted policy.
pub(crate) fn warnings(reading: &Reading) -> &[String] {
    match reading {
        Reading::Accepted(policy) => &policy.warnings,
        Reading::Refused(refused) => panic!("refused: {}", refused.report()),
    }
}

/// Policies in force, and everybody who is known.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) set: PolicySet,
    pub(crate) identities: BTreeMap<u32, Identity>,
    pub(crate) catalog: Catalog,
    /// The names of the pod's ports.
    pub(crate) ports: NamedPorts,
}

impl World {
    pub(crate) fn new(readings: impl IntoIterator<Item = Reading>) -> Self {
        let mut world = Self::default();
        for reading in readings {
            world.set.insert(reading);
        }
        world
    }

    /// Somebody with these labels, as `k=v,k=v`.
    pub(crate) fn with(mut self, identity: u32, labels: &str) -> Self {
        self.identities.insert(identity, self::labels(labels).into());
        self
    }

    /// Everything that is no pod, and these parts of it.
    pub(crate) fn with_world(mut self, prefixes: &[(u32, &str)]) -> Self {
        self.identities.insert(WORLD, Labels::reserved(&["world"]).into());
        for (identity, prefix) in prefixes {
            let labels = Labels::of_prefix(Prefix::read(prefix).expect("a prefix"));
            self.identities.insert(*identity, labels.into());
        }
        self
    }

    /// By which identity a pod's sidecar recognises an address of the world.
    pub(crate) fn recognise(&self, pod: &str, address: &str) -> Option<u32> {
        recognise(&self.encode(pod), &self.identities, address)
    }

    pub(crate) fn encode(&self, pod: &str) -> Encoded {
        let pod = labels(pod);
        let endpoint = Endpoint { id: 1, ips: &[], labels: &pod, ports: &self.ports };
        let view = ClusterView { identities: &self.identities, catalog: &self.catalog };
        encode(&self.set, &endpoint, &view)
    }

    /// The pod's slice, as it comes out at the other end of the wire.
    pub(crate) fn slice(&self, pod: &str) -> Slice {
        compile(&self.encode(pod).policy)
    }
}

/// By which identity a slice's prefixes make an address known.
pub(crate) fn recognise(
    encoded: &Encoded,
    identities: &BTreeMap<u32, Identity>,
    address: &str,
) -> Option<u32> {
    let entry = |identity: u32, addresses: Vec<String>| cilium::NetworkPolicyHosts {
        policy: identity.into(),
        host_addresses: addresses,
    };
    let prefix = |identity: &u32| Some(identities.get(identity)?.labels.prefix()?.to_string());
    let named = encoded.identities.iter();
    let hosts: Vec<_> = named
        .filter_map(|identity| Some(entry(*identity, vec![prefix(identity)?])))
        .chain([entry(WORLD, vec!["0.0.0.0/0".into(), "::/0".into()])])
        .collect();
    Hosts::compile(&hosts).expect("hosts").lookup(address.parse().expect("an address"))
}

/// Sends a policy over the wire and compiles what arrives.
pub(crate) fn compile(policy: &cilium::NetworkPolicy) -> Slice {
    let bytes = prost::Message::encode_to_vec(policy);
    let arrived = cilium::NetworkPolicy::from_wire(&bytes).expect("wire");
    Slice::compile(&arrived, Registry::BUILT_IN).expect("compiles")
}

/// Labels of a pod in `shop`, unless they say otherwise.
pub(crate) fn labels(text: &str) -> Labels {
    let text = match text.contains("io.kubernetes.pod.namespace") {
        true => text.to_owned(),
        false => format!("{text},k8s:io.kubernetes.pod.namespace=shop"),
    };
    Labels::parse(&text).expect("labels")
}

/// What a peer meets at a port: `denied`, `open`, or the protocol's name.
pub(crate) fn admission(slice: &Slice, port: u16, peer: Option<u32>) -> String {
    admitted(slice, TrafficDirection::Ingress, port, peer)
}

/// The same, for what it may reach.
pub(crate) fn reach(slice: &Slice, port: u16, peer: Option<u32>) -> String {
    admitted(slice, TrafficDirection::Egress, port, peer)
}

/// The same, for either direction.
pub(crate) fn admitted(
    slice: &Slice,
    direction: TrafficDirection,
    port: u16,
    peer: Option<u32>,
) -> String {
    match slice.connection(direction, port, peer) {
        Admission::Deny(_) => "denied".to_owned(),
        Admission::Opaque(_) => "open".to_owned(),
        Admission::Parse(protocol) => protocol.name.to_owned(),
    }
}

/// Judges a memcached line such as `get a b`.
pub(crate) fn memcache(slice: &Slice, port: u16, peer: Option<u32>, line: &str) -> Decision {
    judge(slice, TrafficDirection::Ingress, port, peer, "memcache", ["command", "key"], line)
}

/// Judges an r2d2 line such as `READ a`.
pub(crate) fn r2d2(slice: &Slice, port: u16, peer: Option<u32>, line: &str) -> Decision {
    judge(slice, TrafficDirection::Ingress, port, peer, "r2d2", ["cmd", "file"], line)
}

/// Judges a line of a command and its objects.
pub(crate) fn judge(
    slice: &Slice,
    direction: TrafficDirection,
    port: u16,
    peer: Option<u32>,
    protocol: &str,
    [verb, objects]: [&'static str; 2],
    line: &str,
) -> Decision {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut fields = vec![Field { name: verb, value: Value::One(command.as_bytes()) }];
    if !rest.is_empty() {
        fields.push(Field { name: objects, value: Value::Words(Words::new(rest.as_bytes())) });
    }
    let request = Request::new(&fields);
    slice.request(direction, port, peer, protocol, &request)
}
