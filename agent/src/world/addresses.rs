//! Whose an address is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pod::Pod;
use crate::notice::{Notice, Severity};

/// The addresses that are each pod's alone, in the order of `pods`. What two
/// pods claim is neither's: one of them is an impostor or out of date.
pub(super) fn owned(pods: &[Pod], notices: &mut Vec<Notice>) -> Vec<Vec<IpAddr>> {
    let mut claims: BTreeMap<IpAddr, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        for address in &pod.addresses {
            claims.entry(*address).or_default().push(pod);
        }
    }
    for (address, claimants) in &claims {
        if let [first, _, ..] = claimants.as_slice() {
            let names: Vec<_> =
                claimants.iter().map(|pod| format!("{} ({})", pod.key, pod.place)).collect();
            let text = format!(
                "{}: status.podIPs: {address} is claimed by several pods, so it belongs to none of them: {}; remove the manifests that are out of date",
                first.place,
                names.join(", "),
            );
            let revision = claimants.iter().map(|pod| pod.revision).max().unwrap_or(0);
            notices.push(Notice::new(Severity::Error, revision, text));
        }
    }
    let is_sole = |pod: &Pod, address: &IpAddr| {
        claims.get(address).is_some_and(|claimants| claimants.iter().all(|one| one.key == pod.key))
    };
    pods.iter()
        .map(|pod| pod.addresses.iter().filter(|own| is_sole(pod, own)).copied().collect())
        .collect()
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
