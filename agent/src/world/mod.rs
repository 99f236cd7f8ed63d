//! What the agent knows of the cluster, as plain maps: no clock, no I/O.
//!
//! [`World::update`] takes all manifests anew; [`World::slice_for`] gives what
//! one pod needs of it. Identities are numbers for distinct sets of labels; a
//! number never comes to mean another set.

mod addresses;
mod identities;
mod object;
mod pod;
mod policies;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

use remora_api::cilium;
use remora_parsers::Registry;
use remora_policy::{Endpoint, Labels, PolicySet, encode};

use self::identities::Identities;
use self::object::{Named, Objects};
pub use self::pod::PodKey;
use self::pod::{Namespace, Pod};
use crate::directory::Manifests;
use crate::notice::Notice;

/// All pods, namespaces and policies.
#[derive(Debug)]
pub struct World {
    registry: Registry,
    objects: Objects,
    policies: PolicySet,
    pods: BTreeMap<PodKey, Live>,
    namespaces: BTreeMap<String, Namespace>,
    identities: Identities,
    /// The identities that somebody can be recognised by, and their addresses.
    known: BTreeMap<u32, Labels>,
    hosts: BTreeMap<u32, Vec<String>>,
    last_endpoint: u64,
}

/// A pod that is neither completed nor gone.
#[derive(Debug)]
struct Live {
    pod: Pod,
    endpoint: u64,
    labels: Labels,
    /// Its addresses that are no other pod's.
    addresses: Vec<IpAddr>,
}

/// What one pod needs: its own policy, and the addresses of the identities
/// that this policy names.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSlice {
    /// The pod's uid: a pod of the same name with another uid is another pod.
    pub uid: String,
    /// For NPDS.
    pub policy: cilium::NetworkPolicy,
    /// For NPHDS, by identity. None is empty.
    pub hosts: Vec<cilium::NetworkPolicyHosts>,
    /// What the authors of the policies should know.
    pub warnings: Vec<String>,
}

impl World {
    /// An empty world whose policies may name these protocols.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            objects: Objects::default(),
            policies: PolicySet::default(),
            pods: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            identities: Identities::default(),
            known: BTreeMap::new(),
            hosts: BTreeMap::new(),
            last_endpoint: 0,
        }
    }

    /// Makes this the world that the manifests describe; what they no longer
    /// name is gone. Gives everything that is wrong or remarkable with it now.
    pub fn update(&mut self, manifests: &Manifests) -> Vec<Notice> {
        let mut notices = Vec::new();
        let first = self.objects.read(&manifests.documents, self.registry, &mut notices);
        policies::take(&mut self.policies, first.policies, &manifests.unreadable, &mut notices);
        self.take_namespaces(first.namespaces, &mut notices);
        self.take_pods(first.pods, &mut notices);
        notices
    }

    /// How many policies are known, refused ones among them.
    pub fn policy_count(&self) -> usize {
        self.policies.names().count()
    }

    /// The pods that carry a sidecar.
    pub fn injected(&self) -> impl Iterator<Item = &PodKey> {
        self.pods.iter().filter(|(_, live)| live.pod.is_injected).map(|(key, _)| key)
    }

    /// What this pod needs; none if it is not known or has completed.
    pub fn slice_for(&self, key: &PodKey) -> Option<PodSlice> {
        let live = self.pods.get(key)?;
        let endpoint = Endpoint { id: live.endpoint, ips: &live.addresses, labels: &live.labels };
        let encoded = encode(&self.policies, &endpoint, &self.known);
        let hosts = encoded.identities.iter().filter_map(|number| {
            let host_addresses = self.hosts.get(number)?.clone();
            Some(cilium::NetworkPolicyHosts { policy: u64::from(*number), host_addresses })
        });
        Some(PodSlice {
            uid: live.pod.uid.clone(),
            hosts: hosts.collect(),
            policy: encoded.policy,
            warnings: encoded.warnings,
        })
    }

    /// The slice of every pod that carries a sidecar.
    pub fn slices(&self) -> BTreeMap<PodKey, PodSlice> {
        self.injected().filter_map(|key| Some((key.clone(), self.slice_for(key)?))).collect()
    }

    fn take_namespaces(&mut self, found: Vec<Named<String, Namespace>>, notices: &mut Vec<Notice>) {
        let mut before = mem::take(&mut self.namespaces);
        for (key, namespace) in object::or_last_good(found, |key| before.remove(key), notices) {
            self.namespaces.insert(key, namespace);
        }
    }

    fn take_pods(&mut self, found: Vec<Named<PodKey, Pod>>, notices: &mut Vec<Notice>) {
        let mut before = mem::take(&mut self.pods);
        let last_good = |key: &PodKey| before.get(key).map(|live| live.pod.clone());
        let pods: Vec<Pod> = object::or_last_good(found, last_good, notices)
            .into_iter()
            .map(|(_, pod)| pod)
            .filter(|pod| !pod.is_completed)
            .collect();
        let owned = addresses::owned(&pods, notices);
        for (pod, addresses) in pods.into_iter().zip(owned) {
            notices.extend(addresses::unaddressed(&pod));
            let endpoint = match before.remove(&pod.key) {
                Some(live) if live.pod.uid == pod.uid => live.endpoint,
                _ => {
                    self.last_endpoint += 1;
                    self.last_endpoint
                }
            };
            let labels = self.labels_of(&pod);
            self.pods.insert(pod.key.clone(), Live { pod, endpoint, labels, addresses });
        }
        self.identify();
    }

    /// Gives identities. One without an address is left out: naming it would
    /// allow nobody.
    fn identify(&mut self) {
        self.identities.assign(self.pods.values().map(|live| &live.labels));
        self.known.clear();
        self.hosts.clear();
        for live in self.pods.values().filter(|live| !live.addresses.is_empty()) {
            if let Some(number) = self.identities.number(&live.labels) {
                self.known.entry(number).or_insert_with(|| live.labels.clone());
                let addresses = live.addresses.iter().map(ToString::to_string);
                self.hosts.entry(number).or_default().extend(addresses);
            }
        }
        self.hosts.values_mut().for_each(|addresses| addresses.sort_unstable());
    }

    fn labels_of(&self, pod: &Pod) -> Labels {
        let namespace = self.namespaces.get(&pod.key.namespace);
        Labels::of_pod(
            &pod.key.namespace,
            pod.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())),
            namespace
                .iter()
                .flat_map(|own| own.labels.iter())
                .map(|(k, v)| (k.as_str(), v.as_str())),
            &pod.service_account,
        )
    }
}
