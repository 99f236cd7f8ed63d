//! Whose an address is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::pod::{Pod, PodKey};
use crate::notice::{Notice, Severity};

/// Who says that it has which address.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    pods: BTreeMap<IpAddr, Vec<&'a Pod>>,
    nodes: BTreeSet<IpAddr>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(
        pods: impl Iterator<Item = &'a Pod>,
        nodes: impl Iterator<Item = IpAddr>,
    ) -> Self {
        let mut claims = Self { pods: BTreeMap::new(), nodes: nodes.collect() };
        for pod in pods {
            for address in &pod.addresses {
                claims.pods.entry(*address).or_default().push(pod);
            }
        }
        claims
    }

    /// The addresses that are this pod's alone. What two pods claim is
    /// neither's: one of them is an impostor or out of date. What a node has is
    /// no pod's.
    pub(super) fn owned(&self, key: &PodKey, pod: &Pod) -> Vec<IpAddr> {
        let is_sole = |address: &&IpAddr| {
            let claimants = self.pods.get(*address).map_or(&[][..], Vec::as_slice);
            !self.nodes.contains(*address) && claimants.iter().all(|claimant| claimant.key == *key)
        };
        pod.addresses.iter().filter(is_sole).copied().collect()
    }

    /// The addresses that belong to nobody though somebody claims them.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> {
        self.pods.iter().filter_map(|(address, claimants)| {
            let [first, others @ ..] = claimants.as_slice() else { return None };
            let revision = claimants.iter().map(|pod| pod.revision).max().unwrap_or(0);
            if self.nodes.contains(address) {
                let text = format!(
                    "{}: status.podIPs: {address} is a node's, so nobody is recognised as the pod by it",
                    first.place
                );
                return Some(Notice::new(Severity::Error, revision, text));
            }
            (!others.is_empty()).then(|| contested(*address, claimants, revision))
        })
    }
}

fn contested(address: IpAddr, claimants: &[&Pod], revision: u64) -> Notice {
    let is_of_files = revision > 0;
    let name = |pod: &&Pod| match is_of_files {
        true => format!("{} ({})", pod.key, pod.place),
        false => pod.key.to_string(),
    };
    let names: Vec<_> = claimants.iter().map(name).collect();
    let place = claimants.first().map_or("", |pod| pod.place.as_str());
    let mut text = format!(
        "{place}: status.podIPs: {address} is claimed by several pods, so it belongs to none of them: {}",
        names.join(", "),
    );
    // In a cluster it passes: the kubelet is about to report that one of them has ended.
    let severity = if is_of_files { Severity::Error } else { Severity::Warning };
    text.push_str(if is_of_files { "; remove the manifests that are out of date" } else { "" });
    Notice::new(severity, revision, text)
}

/// Says that a pod has no address by which it could be recognised.
pub(super) fn unaddressed(pod: &Pod) -> Option<Notice> {
    let reason = if pod.is_on_host_network {
        "spec.hostNetwork: it shares its node's addresses"
    } else if pod.addresses.is_empty() {
        "status.podIPs: it has no address yet"
    } else {
        return None;
    };
    let text = format!("{}: pod {}: {reason}, so nobody is recognised as it", pod.place, pod.key);
    Some(Notice::new(Severity::Info, pod.revision, text))
}
