//! Laws that hold for every slice.

use std::collections::BTreeMap;

use proptest::prelude::*;
use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_policy::Slice;

use crate::{
    common::{admission, compile, memcache},
    generate::{self, PEERS, PORTS, REQUESTS},
    reference,
};

/// Everything that can be asked of a slice in these tests.
fn questions() -> impl Iterator<Item = (u16, Option<u32>, (&'static str, &'static str))> {
    PORTS.into_iter().flat_map(|port| {
        PEERS.into_iter().flat_map(move |peer| REQUESTS.map(|request| (port, peer, request)))
    })
}

fn passes(slice: &Slice, port: u16, peer: Option<u32>, (command, keys): (&str, &str)) -> bool {
    memcache(slice, port, peer, format!("{command} {keys}").trim()).is_forwarded()
}

/// The first question that the narrower slice answers more openly.
fn widened(
    before: &Slice,
    after: &Slice,
) -> Option<(u16, Option<u32>, (&'static str, &'static str))> {
    questions().find(|(port, peer, request)| {
        let opened =
            admission(after, *port, *peer) == "open" && admission(before, *port, *peer) != "open";
        let passed =
            passes(after, *port, *peer, *request) && !passes(before, *port, *peer, *request);
        opened || passed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_slice_means_what_was_sent(policy in generate::wire_policy(vec!["memcache", "memcache", "memcache", "r2d2"])) {
        let slice = compile(&policy);
        for (port, peer, request) in questions() {
            let (met, passed) = reference::wire(&policy, port, peer, request);
            prop_assert_eq!(admission(&slice, port, peer), met, "port {} peer {:?}", port, peer);
            prop_assert_eq!(passes(&slice, port, peer, request), passed, "port {} peer {:?} {:?}", port, peer, request);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_slice_without_one_of_its_allows_is_no_wider(
        policy in generate::wire_policy(vec!["memcache"]),
        port in any::<prop::sample::Index>(),
        rule in any::<prop::sample::Index>(),
    ) {
        let Some(narrower) = without_an_allow(&policy, port, rule) else { return Ok(()) };
        prop_assert_eq!(widened(&compile(&policy), &compile(&narrower)), None);
    }

    #[test]
    fn a_slice_with_one_more_deny_is_no_wider(
        policy in generate::wire_policy(vec!["memcache"]),
        port in any::<prop::sample::Index>(),
        peers in prop::collection::vec(1..4_u32, 0..3),
        keys in generate::memcache_keys(),
    ) {
        let before = compile(&policy);
        for narrower in with_a_deny(&policy, port, &peers, &keys) {
            prop_assert_eq!(widened(&before, &compile(&narrower)), None);
        }
    }
}

/// Removes a rule that allows, and its port with the last one: on the wire, a
/// port without rules is open.
fn without_an_allow(
    policy: &cilium::NetworkPolicy,
    port: prop::sample::Index,
    rule: prop::sample::Index,
) -> Option<cilium::NetworkPolicy> {
    let mut narrower = policy.clone();
    let ports = &mut narrower.ingress_per_port_policies;
    let port = (!ports.is_empty()).then(|| port.index(ports.len()))?;
    let rules = &mut ports[port].rules;
    if !rules.is_empty() {
        let rule = rule.index(rules.len());
        if rules[rule].verdict == Some(wire::Verdict::Deny(true)) {
            return None;
        }
        // An L7 deny beside an allow is not part of it: it stays.
        if let Some(wire::L7::L7Rules(l7)) = &rules[rule].l7
            && !l7.l7_deny_rules.is_empty()
        {
            return None;
        }
        rules.remove(rule);
    }
    if rules.is_empty() {
        ports.remove(port);
    }
    Some(narrower)
}

/// The policy with one more L4 deny, and with one more L7 deny in each filter.
fn with_a_deny(
    policy: &cilium::NetworkPolicy,
    port: prop::sample::Index,
    peers: &[u32],
    keys: &BTreeMap<String, String>,
) -> Vec<cilium::NetworkPolicy> {
    if policy.ingress_per_port_policies.is_empty() {
        return Vec::new();
    }
    let port = port.index(policy.ingress_per_port_policies.len());
    let mut denied = policy.clone();
    denied.ingress_per_port_policies[port].rules.push(cilium::PortNetworkPolicyRule {
        remote_policies: peers.to_vec(),
        verdict: Some(wire::Verdict::Deny(true)),
        ..Default::default()
    });
    let mut filtered = policy.clone();
    for rule in &mut filtered.ingress_per_port_policies[port].rules {
        if let Some(wire::L7::L7Rules(l7)) = &mut rule.l7 {
            let rule = keys.clone().into_iter().collect();
            l7.l7_deny_rules.push(cilium::L7NetworkPolicyRule { name: "deny".into(), rule });
        }
    }
    vec![denied, filtered]
}

/// Laws that hold because nothing ever happens would be no laws.
#[test]
fn random_policies_reach_every_outcome() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = generate::wire_policy(vec!["memcache", "memcache", "memcache", "r2d2"]);
    let mut counts = BTreeMap::new();
    for _ in 0..500 {
        let policy = strategy.new_tree(&mut runner).expect("a policy").current();
        for (port, peer, request) in questions() {
            *counts.entry(reference::wire(&policy, port, peer, request)).or_insert(0) += 1;
        }
    }
    for outcome in [
        ("denied", false),
        ("open", true),
        ("memcache", true),
        ("memcache", false),
        ("r2d2", false),
    ] {
        let count = counts.get(&outcome).copied().unwrap_or(0);
        assert!(count > 500, "{outcome:?} only {count} times of {counts:?}");
    }
}
