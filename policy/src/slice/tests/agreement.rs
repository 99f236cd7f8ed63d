//! The compiled slice and the naive evaluator, on random policies and
//! requests: the same verdict, rule and reason.

use std::collections::BTreeMap;

use proptest::{collection::vec, option::weighted, prelude::*, sample::select};
use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_parsers::{
    Direction, Field, Judge, KeyKind, Op, Parser, Protocol, Registry, Request, RuleKey, Value,
    Word, Words,
};

use super::naive::Naive;
use crate::{Admission, Slice, TrafficDirection};

/// A protocol with every kind of key, two of them on one field.
static TOY: Protocol = Protocol {
    name: "toy",
    keys: &[
        RuleKey { name: "verb", field: "verb", kind: KeyKind::Word(VERBS) },
        RuleKey { name: "nameExact", field: "name", kind: KeyKind::Exact },
        RuleKey { name: "namePrefix", field: "name", kind: KeyKind::Prefix },
        RuleKey { name: "nameRegex", field: "name", kind: KeyKind::Regex },
        RuleKey { name: "owner", field: "owner", kind: KeyKind::Exact },
    ],
    check: |_| Ok(()),
    parser: || Box::new(Mute),
};

const VERBS: &[Word] = &[
    Word { name: "read", covers: &["get", "head"] },
    Word { name: "get", covers: &["get"] },
    Word { name: "put", covers: &["put"] },
    Word { name: "any", covers: &["get", "head", "put"] },
];

static OTHER: Protocol =
    Protocol { name: "other", keys: &[], check: |_| Ok(()), parser: || Box::new(Mute) };

static REGISTRY: Registry = Registry::new(&[&TOY, &OTHER]);

struct Mute;

impl Parser for Mute {
    fn on_data(&mut self, _: Direction, _: &[u8], _: bool, _: &mut dyn Judge) -> Op {
        Op::Nop
    }
}

const TEXTS: [&str; 8] = ["a", "ab", "abc", "abd", "b", "ba", "a/b", "a\n"];

const EXPRESSIONS: [&str; 18] = [
    "a", "ab", "^ab$", "(abc)", "a.*", "ab.*", "^a/.*", "(?s)a.*", "(?s).*", ".*", "a|b", "[ab]+",
    "a.", "(a|ab).*", ".*b", "a{2}", "(?i)AB", "\\w+",
];

const VALUES: [&str; 14] =
    ["a", "ab", "abc", "abd", "abcd", "b", "ba", "aa", "a/b", "a\n", "a\nb", "\n", "", "AB"];

/// Several values on one field stand with spaces between them.
const SEVERAL: [&str; 8] =
    ["a ab", "ab abc abd", "b b", "a b", "ab ab ab", "a/b a/c", "abc", "a AB"];

fn l7_rule() -> impl Strategy<Value = cilium::L7NetworkPolicyRule> {
    let keys = (
        weighted(0.6, select(vec!["", "read", "get", "put", "any"])),
        weighted(0.3, select(TEXTS.to_vec())),
        weighted(0.4, select(TEXTS.to_vec())),
        weighted(0.4, select(EXPRESSIONS.to_vec())),
        weighted(0.2, select(vec!["x", "y"])),
        weighted(0.9, 0..1000_u32),
    );
    keys.prop_map(|(verb, exact, prefix, regex, owner, name)| {
        let pairs = [
            ("verb", verb),
            ("nameExact", exact),
            ("namePrefix", prefix),
            ("nameRegex", regex),
            ("owner", owner),
        ];
        // Of rules with more keys the nearest is not always found.
        let given = pairs.into_iter().filter_map(|(key, value)| Some((key.into(), value?.into())));
        let rule = given.take(4);
        let name = name.map(|name| format!("l7 {name}")).unwrap_or_default();
        cilium::L7NetworkPolicyRule { name, rule: rule.collect() }
    })
}

fn rule() -> impl Strategy<Value = cilium::PortNetworkPolicyRule> {
    let peers = prop_oneof![1 => Just(vec![]), 3 => vec(1..5_u32, 1..4)];
    let l7 = (vec(l7_rule(), 0..5), prop_oneof![2 => Just(vec![]), 1 => vec(l7_rule(), 0..3)]);
    (0..24, peers, l7, 0..1000_u32).prop_map(|(shape, remote_policies, (allow, deny), name)| {
        let name = format!("rule {name}");
        let mut rule =
            cilium::PortNetworkPolicyRule { name, remote_policies, ..Default::default() };
        match shape {
            0 => rule.verdict = Some(wire::Verdict::Deny(true)),
            1 | 2 => {}
            _ => {
                let other = shape == 3;
                rule.l7_proto = if other { "other" } else { "toy" }.to_owned();
                rule.l7 = Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
                    l7_allow_rules: if other { vec![Default::default()] } else { allow },
                    l7_deny_rules: if other { vec![] } else { deny },
                }));
            }
        }
        rule
    })
}

fn policy() -> impl Strategy<Value = cilium::NetworkPolicy> {
    let ports = select(vec![(80, 0), (80, 0), (81, 0), (80, 81), (79, 80), (0, 0), (81, 81)]);
    let rules = prop_oneof![1 => Just(vec![]), 12 => vec(rule(), 1..9)];
    let port = (ports, rules, 0..12).prop_map(|((port, end_port), rules, transport)| {
        let protocol = i32::from(transport == 0);
        cilium::PortNetworkPolicy { port, end_port, protocol, rules }
    });
    vec(port, 1..5).prop_map(|ingress_per_port_policies| cilium::NetworkPolicy {
        ingress_per_port_policies,
        ..Default::default()
    })
}

/// A request's verb, name and owner, as far as it has them, and whether verb
/// and name are lists.
type Asked = (Option<(&'static str, bool)>, Option<(&'static str, bool)>, Option<&'static str>);

fn asked() -> impl Strategy<Value = Asked> {
    let some = |texts: &[&'static str], list: bool| {
        let texts: Vec<_> = texts.iter().map(|text| (*text, list)).collect();
        select(texts)
    };
    let verb = prop_oneof![
        4 => some(&["get", "put", "head", "jump"], false),
        1 => some(&["get head", "get put", "put", ""], true),
    ];
    let name = prop_oneof![2 => some(&VALUES, false), 2 => some(&SEVERAL, true)];
    (weighted(0.9, verb), weighted(0.85, name), weighted(0.4, select(vec!["x", "y", "z"])))
}

/// What a slice is asked, and how it and the naive evaluator answer.
fn compare(policy: &cilium::NetworkPolicy, asked: &[Asked]) -> Result<(), TestCaseError> {
    let slice = Slice::compile(policy, REGISTRY).expect("compiles");
    for port in [79, 80, 81, 82] {
        for peer in [Some(1), Some(2), Some(4), Some(9), None] {
            let naive = Naive { policy, registry: REGISTRY, port, peer };
            let admission = slice.connection(TrafficDirection::Ingress, port, peer);
            prop_assert_eq!(told(admission), told(naive.connection()), "{} {:?}", port, peer);
            for asked in asked {
                let [decision, expected] = with_request(asked, |request| {
                    let slice =
                        slice.request(TrafficDirection::Ingress, port, peer, "toy", request);
                    [slice, naive.request("toy", request)]
                });
                prop_assert_eq!(decision, expected, "{} {:?} {:?}", port, peer, asked);
            }
        }
    }
    Ok(())
}

fn with_request<T>((verb, name, owner): &Asked, ask: impl FnOnce(&Request<'_>) -> T) -> T {
    let value = |(text, list): (&'static str, bool)| match list {
        true => Value::Words(Words::new(text.as_bytes())),
        false => Value::One(text.as_bytes()),
    };
    let owner = owner.map(|owner| (owner, false));
    let fields = [("verb", *verb), ("name", *name), ("owner", owner)];
    let fields =
        fields.into_iter().filter_map(|(name, text)| Some(Field { name, value: value(text?) }));
    ask(&Request::new(&fields.collect::<Vec<_>>()))
}

fn told(admission: Admission) -> String {
    match admission {
        Admission::Deny(decision) => format!("denied: {decision:?}"),
        Admission::Opaque(decision) => format!("open: {decision:?}"),
        Admission::Parse(protocol) => format!("judged as {}", protocol.name),
    }
}

/// A rule of more keys than are tracked for the nearest miss.
#[test]
fn rules_of_many_keys_hold_or_miss_by_one() {
    let keys = [
        ("verb", "get"),
        ("nameExact", "ab"),
        ("namePrefix", "a"),
        ("nameRegex", "[ab]+"),
        ("owner", "x"),
    ];
    let rule = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let l7 = cilium::L7NetworkPolicyRule { name: "l7".to_owned(), rule };
    let filter = cilium::PortNetworkPolicyRule {
        l7_proto: "toy".to_owned(),
        l7: Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
            l7_allow_rules: vec![l7],
            l7_deny_rules: vec![],
        })),
        ..Default::default()
    };
    let port = cilium::PortNetworkPolicy { port: 80, rules: vec![filter], ..Default::default() };
    let policy =
        cilium::NetworkPolicy { ingress_per_port_policies: vec![port], ..Default::default() };
    let (verb, name) = (Some(("get", false)), Some(("ab", false)));
    let missing_one = [(None, name, Some("x")), (verb, name, Some("y"))];
    compare(&policy, &[[(verb, name, Some("x"))].as_slice(), &missing_one].concat())
        .expect("agrees");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_slice_decides_as_the_naive_evaluator_does(policy in policy(), asked in vec(asked(), 8)) {
        compare(&policy, &asked)?;
    }
}

/// Agreement on nothing but denials would be none.
#[test]
fn random_policies_reach_every_reason() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut counts = BTreeMap::new();
    for _ in 0..400 {
        let policy = policy().new_tree(&mut runner).expect("a policy").current();
        let asked = vec(asked(), 4).new_tree(&mut runner).expect("questions").current();
        for (port, peer) in [(79, Some(9)), (80, Some(1)), (81, Some(9)), (82, Some(2))] {
            let naive = Naive { policy: &policy, registry: REGISTRY, port, peer };
            for asked in &asked {
                let decision = with_request(asked, |request| naive.request("toy", request));
                let reason = format!("{:?}", decision.reason);
                let end = reason.find([' ', '(']).unwrap_or(reason.len());
                let near = reason.contains("nearest: Some");
                *counts.entry((reason[..end].to_owned(), near)).or_insert(0) += 1;
            }
        }
    }
    for (reason, near) in [
        ("PortAllowed", false),
        ("RequestAllowed", false),
        ("Unrestricted", false),
        ("PeerDenied", false),
        ("RequestDenied", false),
        ("PortClosed", false),
        ("PeerUnmatched", false),
        ("ProtocolsClash", false),
        ("RequestUnmatched", true),
        ("RequestUnmatched", false),
    ] {
        let count = counts.get(&(reason.to_owned(), near)).copied().unwrap_or(0);
        assert!(count > 20, "{reason} only {count} times of {counts:?}");
    }
}
