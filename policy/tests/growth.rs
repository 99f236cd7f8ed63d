//! What a decision costs as rules become many: printed, for whoever looks
//! (`--nocapture`).

use std::time::{Duration, Instant};

use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_parsers::{Field, Registry, Request, Value};
use remora_policy::{Slice, TrafficDirection};

/// As many as a slice may hold: its port and its filter count among them.
const MANY: usize = remora_policy::MAX_RULES - 2;

/// Decisions that are timed at once.
const DECISIONS: u32 = 100;

/// A slice with this many rules for one peer, each with a prefix of its own.
fn slice(rules: usize) -> Slice {
    let rule = |n: usize| cilium::L7NetworkPolicyRule {
        rule: [("command", "get".to_owned()), ("keyPrefix", format!("team-{n:05}/"))]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        ..Default::default()
    };
    let filter = cilium::PortNetworkPolicyRule {
        l7_proto: "memcache".into(),
        l7: Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
            l7_allow_rules: (0..rules).map(rule).collect(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let port = cilium::PortNetworkPolicy { port: 11211, rules: vec![filter], ..Default::default() };
    let policy =
        cilium::NetworkPolicy { ingress_per_port_policies: vec![port], ..Default::default() };
    Slice::compile(&policy, Registry::BUILT_IN).expect("compiles")
}

/// The best time of three for one decision.
fn decision(slice: &Slice, key: &str, allowed: bool) -> Duration {
    let fields = [
        Field { name: "command", value: Value::One(b"get") },
        Field { name: "key", value: Value::One(key.as_bytes()) },
    ];
    let request = Request::new(&fields);
    let once = || {
        let start = Instant::now();
        for _ in 0..DECISIONS {
            let decision =
                slice.request(TrafficDirection::Ingress, 11211, Some(1), "memcache", &request);
            assert_eq!(decision.is_forwarded(), allowed, "{key}");
        }
        start.elapsed() / DECISIONS
    };
    (0..3).map(|_| once()).min().expect("three")
}

#[test]
fn a_decision_among_many_rules() {
    let last = format!("team-{:05}/k", MANY - 1);
    let (few, many) = (slice(10), slice(MANY));
    for (what, key_of_few, key_of_many, allowed) in [
        ("allowed by the first rule", "team-00000/k", "team-00000/k", true),
        ("allowed by the last rule", "team-00009/k", &last, true),
        ("allowed by none", "team-99999/k", "team-99999/k", false),
    ] {
        let [few, many] =
            [decision(&few, key_of_few, allowed), decision(&many, key_of_many, allowed)]
                .map(|time| time.as_secs_f64());
        println!(
            "{what}: {:.0} decisions/s with 10 rules, {:.0} with {MANY}: {:.2} times the time",
            1.0 / few,
            1.0 / many,
            many / few
        );
    }
}
