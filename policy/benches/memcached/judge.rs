//! Who decides: nobody, or a policy of any number of rules.

use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_parsers::{Host, Judge, Registry, Request, Value, Verdict};
use remora_policy::{Slice, TrafficDirection};

/// A key that only the last of so many rules allows.
pub(crate) fn key(rules: Option<usize>) -> String {
    format!("team-{:05}/k", rules.unwrap_or(1) - 1)
}

/// A key that no rule allows.
pub(crate) const DENIED: &str = "team-99999/k";

/// Allows what a policy allows, or everything but [`DENIED`].
pub(crate) struct Judged(Option<Slice>);

impl Judged {
    pub(crate) fn by(rules: Option<usize>) -> Self {
        Self(rules.map(slice))
    }
}

impl Judge for Judged {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let allowed = match &self.0 {
            Some(slice) => slice
                .request(TrafficDirection::Ingress, 11211, Some(1), "memcache", request)
                .is_forwarded(),
            None => request
                .field("key")
                .is_none_or(|key| !Value::iter(key.value).any(|key| key == DENIED.as_bytes())),
        };
        if allowed { Verdict::Allow } else { Verdict::Deny }
    }
}

impl Host for Judged {}

/// Rules for one peer, each with a prefix of its own, and one for no-ops.
fn slice(rules: usize) -> Slice {
    let rule = |name: String, keys: &[(&str, String)]| cilium::L7NetworkPolicyRule {
        name,
        rule: keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    };
    let noop = rule("noop".to_owned(), &[("command", "noop".to_owned())]);
    let prefixes = (0..rules - 1).map(|n| {
        let prefix = ("keyPrefix", format!("team-{:05}/", n + 1));
        rule(
            format!("shop/cache ingress[0].toPorts[0].l7[{n}]"),
            &[("command", "readWriteGroup".to_owned()), prefix],
        )
    });
    let filter = cilium::PortNetworkPolicyRule {
        remote_policies: vec![1],
        l7_proto: "memcache".into(),
        l7: Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
            l7_allow_rules: [noop].into_iter().chain(prefixes).collect(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let port = cilium::PortNetworkPolicy { port: 11211, rules: vec![filter], ..Default::default() };
    let policy =
        cilium::NetworkPolicy { ingress_per_port_policies: vec![port], ..Default::default() };
    Slice::compile(&policy, Registry::BUILT_IN).expect("compiles")
}
