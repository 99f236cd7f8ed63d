//! From policy files and labels to the slice that a transcript is judged by.

use std::{collections::BTreeMap, fs, net::IpAddr, path::PathBuf};

use remora_parsers::Registry;
use remora_policy::{
    Catalog, ClusterView, Endpoint, Labels, NamedPorts, PolicySet, Reading, Slice,
    TrafficDirection, encode, is_policy, read_policy,
};

use crate::playback::Scene;

/// The number of the other side: the only identity there is.
const PEER: u32 = 1000;

/// What a transcript is played on.
pub struct Stage {
    slice: Slice,
    direction: TrafficDirection,
    /// What the policies' authors should know.
    pub warnings: Vec<String>,
}

impl Stage {
    /// Reads the policies, and takes them the way that agent and sidecar do.
    ///
    /// # Errors
    /// Why a policy is refused, with file, line, field and remedy.
    pub fn set(
        files: &[PathBuf],
        from: &Labels,
        to: &Labels,
        direction: TrafficDirection,
    ) -> Result<Self, String> {
        let (policies, mut warnings) = read_policies(files)?;
        let (subject, peer) = match direction {
            TrafficDirection::Ingress => (to, from),
            TrafficDirection::Egress => (from, to),
        };
        let ips = [IpAddr::from([192, 0, 2, 1])];
        let ports = NamedPorts::default();
        let endpoint = Endpoint { id: 1, ips: &ips, labels: subject, ports: &ports };
        let identities = BTreeMap::from([(PEER, peer.clone().into())]);
        let view = ClusterView { identities: &identities, catalog: &Catalog::default() };
        let encoded = encode(&policies, &endpoint, &view);
        warnings.extend(encoded.warnings);
        let slice = Slice::compile(&encoded.policy, Registry::BUILT_IN)
            .map_err(|error| error.to_string())?;
        Ok(Self { slice, direction, warnings })
    }

    /// A connection to `port` between the two.
    pub fn scene(&self, port: u16) -> Scene<'_> {
        Scene { slice: &self.slice, direction: self.direction, port, peer: Some(PEER) }
    }
}

fn read_policies(files: &[PathBuf]) -> Result<(PolicySet, Vec<String>), String> {
    let mut policies = PolicySet::default();
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for file in files {
        let shown = file.display();
        let bytes = fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
        let mut found = false;
        for document in remora_manifest::read_bytes(&bytes, file) {
            let document = match document {
                Ok(document) => document,
                Err(error) => {
                    found = true;
                    errors.push(error.to_string());
                    continue;
                }
            };
            if !is_policy(&document) {
                continue;
            }
            found = true;
            let reading = read_policy(&document, Registry::BUILT_IN);
            match &reading {
                Reading::Accepted(policy) => warnings.extend(policy.warnings.iter().cloned()),
                Reading::Refused(refused) => {
                    errors.extend(refused.errors.iter().map(ToString::to_string));
                }
            }
            policies.insert(reading);
        }
        if !found {
            errors
                .push(format!("{shown}: no policy in it: give a CiliumNetworkPolicy or L7Policy"));
        }
    }
    if errors.is_empty() { Ok((policies, warnings)) } else { Err(errors.join("\n")) }
}
