//! What a slice does with what servers other than ours may send.

mod agreement;
mod naive;

use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_parsers::{Field, Registry, Request, Value};

use super::*;

fn rule(peers: &[u32]) -> cilium::PortNetworkPolicyRule {
    cilium::PortNetworkPolicyRule { remote_policies: peers.to_vec(), ..Default::default() }
}

fn deny(peers: &[u32]) -> cilium::PortNetworkPolicyRule {
    cilium::PortNetworkPolicyRule { verdict: Some(wire::Verdict::Deny(true)), ..rule(peers) }
}

fn l7(pairs: &[(&str, &str)]) -> cilium::L7NetworkPolicyRule {
    let rule = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    cilium::L7NetworkPolicyRule { rule, ..Default::default() }
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn filter(allow: &[Pairs<'_>], deny: &[Pairs<'_>]) -> cilium::PortNetworkPolicyRule {
    cilium::PortNetworkPolicyRule {
        l7_proto: "memcache".into(),
        l7: Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
            l7_allow_rules: allow.iter().map(|pairs| l7(pairs)).collect(),
            l7_deny_rules: deny.iter().map(|pairs| l7(pairs)).collect(),
        })),
        ..Default::default()
    }
}

fn port(
    port: u32,
    end_port: u32,
    rules: Vec<cilium::PortNetworkPolicyRule>,
) -> cilium::PortNetworkPolicy {
    cilium::PortNetworkPolicy { port, end_port, rules, ..Default::default() }
}

fn compile(ingress: Vec<cilium::PortNetworkPolicy>) -> Result<Slice, CompileError> {
    let policy = cilium::NetworkPolicy { ingress_per_port_policies: ingress, ..Default::default() };
    Slice::compile(&policy, Registry::BUILT_IN)
}

fn slice(ingress: Vec<cilium::PortNetworkPolicy>) -> Slice {
    compile(ingress).expect("compiles")
}

fn nack(ingress: Vec<cilium::PortNetworkPolicy>) -> String {
    compile(ingress).expect_err("is refused").to_string()
}

fn admits(slice: &Slice, port: u16, peer: u32) -> bool {
    let admission = slice.connection(TrafficDirection::Ingress, port, Some(peer));
    !matches!(admission, Admission::Deny(_))
}

fn get(slice: &Slice, port: u16, key: &str) -> bool {
    let fields = [
        Field { name: "command", value: Value::One(b"get") },
        Field { name: "key", value: Value::One(key.as_bytes()) },
    ];
    let request = Request::new(&fields);
    slice.request(TrafficDirection::Ingress, port, Some(1), "memcache", &request).is_forwarded()
}

#[test]
fn nothing_passes_before_a_policy_has_come() {
    let slice = Slice::deny_all();
    for direction in [TrafficDirection::Ingress, TrafficDirection::Egress] {
        let Admission::Deny(decision) = slice.connection(direction, 80, Some(1)) else {
            panic!("{direction} is open");
        };
        assert_eq!(decision.reason, Reason::NoPolicy);
    }
    assert!(!get(&slice, 80, "a"));
}

#[test]
fn an_empty_list_of_ports_denies_and_an_empty_list_of_rules_allows() {
    let nothing = slice(vec![]);
    let Admission::Deny(decision) = nothing.connection(TrafficDirection::Ingress, 80, None) else {
        panic!("open");
    };
    assert_eq!(decision.reason.to_string(), "no ingress rule opens port 80 to anybody");
    let anything = slice(vec![port(80, 0, vec![])]);
    assert!(admits(&anything, 80, 1));
    assert!(!admits(&anything, 81, 1));
}

#[test]
fn a_deny_beats_every_allow_across_port_range_and_wildcard() {
    for deny_at in [(80, 0), (79, 81), (0, 0)] {
        for allow_at in [(80, 0), (80, 90), (0, 0)] {
            let slice = slice(vec![
                port(allow_at.0, allow_at.1, vec![rule(&[])]),
                port(deny_at.0, deny_at.1, vec![deny(&[1])]),
            ]);
            assert!(!admits(&slice, 80, 1), "deny at {deny_at:?}, allow at {allow_at:?}");
            assert!(!get(&slice, 80, "a"), "deny at {deny_at:?}, allow at {allow_at:?}");
            assert!(admits(&slice, 80, 2), "deny at {deny_at:?}, allow at {allow_at:?}");
        }
    }
}

#[test]
fn no_match_on_the_exact_port_may_still_be_allowed_by_the_wildcard() {
    let slice = slice(vec![port(80, 0, vec![rule(&[2])]), port(0, 0, vec![rule(&[1])])]);
    assert!(admits(&slice, 80, 1));
    assert!(admits(&slice, 80, 2));
    assert!(admits(&slice, 81, 1));
    assert!(!admits(&slice, 81, 2));
}

#[test]
fn an_open_range_voids_a_filter_on_one_of_its_ports() {
    let filtered = || port(80, 0, vec![filter(&[&[("command", "set")]], &[])]);
    assert!(!get(&slice(vec![filtered()]), 80, "a"));
    for open in [port(80, 0, vec![rule(&[])]), port(79, 81, vec![rule(&[])]), port(0, 0, vec![])] {
        assert!(get(&slice(vec![filtered(), open]), 80, "a"));
    }
}

#[test]
fn an_l7_deny_is_not_voided_by_an_open_rule() {
    let secret: Pairs<'_> = &[("command", "get"), ("keyPrefix", "secret")];
    let slice = slice(vec![port(80, 0, vec![filter(&[], &[secret])]), port(0, 0, vec![])]);
    let admission = slice.connection(TrafficDirection::Ingress, 80, Some(1));
    assert!(matches!(admission, Admission::Parse(protocol) if protocol.name == "memcache"));
    assert!(get(&slice, 80, "public"));
    assert!(!get(&slice, 80, "secret/1"));
}

#[test]
fn l7_denies_beat_l7_allows_of_any_rule_of_the_port() {
    let slice = slice(vec![
        port(80, 0, vec![filter(&[&[]], &[])]),
        port(0, 0, vec![filter(&[&[]], &[&[("command", "get"), ("keyExact", "b")]])]),
    ]);
    assert!(get(&slice, 80, "a"));
    assert!(!get(&slice, 80, "b"));
}

#[test]
fn one_barred_key_among_many_is_enough_for_an_l7_deny() {
    let slice =
        slice(vec![port(80, 0, vec![filter(&[&[]], &[&[("command", "get"), ("keyExact", "b")]])])]);
    let fields = [
        Field { name: "command", value: Value::One(b"get") },
        Field { name: "key", value: Value::Words(remora_parsers::Words::new(b"a b")) },
    ];
    let request = Request::new(&fields);
    let decision = slice.request(TrafficDirection::Ingress, 80, None, "memcache", &request);
    assert_eq!(decision.reason, Reason::RequestDenied);
}

#[test]
fn a_field_without_a_value_satisfies_no_rule() {
    let slice =
        slice(vec![port(80, 0, vec![filter(&[&[("command", "get"), ("keyRegex", ".*")]], &[])])]);
    let command = Field { name: "command", value: Value::One(b"get") };
    let no_key = Field { name: "key", value: Value::Words(remora_parsers::Words::new(b"")) };
    for fields in [&[command][..], &[command, no_key], &[no_key], &[]] {
        let decision =
            slice.request(TrafficDirection::Ingress, 80, None, "memcache", &Request::new(fields));
        assert!(!decision.is_forwarded(), "{fields:?}");
    }
}

#[test]
fn two_protocols_for_one_peer_are_denied_with_their_names() {
    let r2d2 = cilium::PortNetworkPolicyRule {
        l7_proto: "r2d2".into(),
        l7: Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
            l7_allow_rules: vec![l7(&[])],
            l7_deny_rules: vec![],
        })),
        ..rule(&[])
    };
    let slice = slice(vec![port(80, 0, vec![filter(&[&[]], &[])]), port(0, 0, vec![r2d2])]);
    let Admission::Deny(decision) = slice.connection(TrafficDirection::Ingress, 80, None) else {
        panic!("open");
    };
    assert_eq!(decision.reason.to_string(), "rules see both memcache and r2d2 on port 80");
    assert!(!get(&slice, 80, "a"));
}

#[test]
fn rules_for_udp_allow_no_tcp() {
    let udp = cilium::PortNetworkPolicy { protocol: 1, ..port(80, 0, vec![]) };
    assert!(!admits(&slice(vec![udp]), 80, 1));
}

#[test]
fn egress_is_compiled_and_judged_alike() {
    let policy = cilium::NetworkPolicy {
        egress_per_port_policies: vec![port(80, 0, vec![rule(&[1])])],
        ..Default::default()
    };
    let slice = Slice::compile(&policy, Registry::BUILT_IN).expect("compiles");
    let open = |peer| {
        let admission = slice.connection(TrafficDirection::Egress, 80, peer);
        matches!(admission, Admission::Opaque(_))
    };
    assert!(open(Some(1)));
    assert!(!open(Some(2)));
    assert!(!open(None));
}

#[test]
fn what_cannot_be_honoured_is_nacked_by_name() {
    let with = |change: fn(&mut cilium::PortNetworkPolicyRule)| {
        let mut changed = cilium::PortNetworkPolicyRule { name: "r".into(), ..rule(&[]) };
        change(&mut changed);
        nack(vec![port(80, 0, vec![changed])])
    };
    for (message, expected) in [
        (with(|rule| rule.precedence = 1), "`precedence` is not supported"),
        (
            with(|rule| rule.verdict = Some(wire::Verdict::PassPrecedence(0))),
            "`pass_precedence` is not supported",
        ),
        (
            with(|rule| rule.l7_proto = "memcached".into()),
            "l7_proto `memcached` is not known: did you mean `memcache`?",
        ),
        (with(|rule| rule.l7 = filter(&[&[]], &[]).l7), "has l7_rules, but no l7_proto"),
        (
            with(|rule| {
                *rule = cilium::PortNetworkPolicyRule {
                    name: "r".into(),
                    verdict: Some(wire::Verdict::Deny(true)),
                    ..filter(&[&[]], &[])
                };
            }),
            "denies the peer, so its l7_proto and l7_rules would never be looked at",
        ),
        (
            with(|rule| {
                let l7 = filter(&[&[("comand", "get")]], &[]);
                *rule = cilium::PortNetworkPolicyRule { name: "r".into(), ..l7 };
            }),
            "memcache rules have no key `comand`: did you mean `command`? \
             (they have command, keyExact, keyPrefix, keyRegex, protocol)",
        ),
        (
            with(|rule| {
                let l7 = filter(&[], &[&[("command", "get"), ("keyRegex", "(")]]);
                *rule = cilium::PortNetworkPolicyRule { name: "r".into(), ..l7 };
            }),
            "`keyRegex`: not a regular expression: unclosed group",
        ),
    ] {
        assert_eq!(message, format!("ingress port 80, rule r: {expected}"));
    }
}

#[test]
fn what_is_no_port_is_nacked() {
    for (first, last) in [(65536, 0), (80, 65536), (80, 79), (0, 80)] {
        assert_eq!(
            nack(vec![port(first, last, vec![])]),
            format!("ingress port {first}: {first} to {last} is no range of ports")
        );
    }
    let unknown = cilium::PortNetworkPolicy { protocol: 9, ..port(80, 0, vec![]) };
    assert_eq!(nack(vec![unknown]), "ingress port 80: transport protocol 9 is not known");
}

#[test]
fn the_number_of_rules_has_a_cap() {
    // One is the port itself.
    let fits = vec![port(80, 0, vec![rule(&[]); MAX_RULES - 1])];
    assert!(compile(fits).is_ok());
    let problem = |ports| compile(ports).expect_err("one too many").problem;
    assert_eq!(problem(vec![port(80, 0, vec![rule(&[]); MAX_RULES])]), Problem::TooManyRules);
    let rules: Vec<Pairs<'_>> = vec![&[]; MAX_RULES - 1];
    assert_eq!(problem(vec![port(80, 0, vec![filter(&rules, &[])])]), Problem::TooManyRules);
}

#[test]
fn the_number_of_identities_has_a_cap() {
    assert!(compile(vec![port(80, 0, vec![rule(&vec![1; MAX_PEERS])])]).is_ok());
    let error = compile(vec![port(80, 0, vec![rule(&vec![1; MAX_PEERS]), rule(&[1])])]);
    assert_eq!(error.expect_err("one too many").problem, Problem::TooManyPeers);
}

#[test]
fn the_number_of_expressions_has_a_cap_and_equal_ones_count_once() {
    let expressions = |count: usize| {
        let texts: Vec<_> = (0..count).map(|n| format!("k{n}[0-9]")).collect();
        let pairs: Vec<_> =
            texts.iter().map(|text| [("command", "get"), ("keyRegex", text.as_str())]).collect();
        let rules: Vec<Pairs<'_>> = pairs.iter().chain(&pairs).map(|pair| &pair[..]).collect();
        compile(vec![port(80, 0, vec![filter(&rules, &[])])])
    };
    assert!(expressions(crate::MAX_REGEXES).is_ok());
    let error = expressions(crate::MAX_REGEXES + 1).expect_err("one too many").to_string();
    assert!(error.contains("more than 256 different regular expressions"), "{error}");
}

#[test]
fn expressions_that_are_text_do_not_count() {
    let texts: Vec<_> = (0..=crate::MAX_REGEXES).map(|n| format!("k{n}/.*")).collect();
    let pairs: Vec<_> =
        texts.iter().map(|text| [("command", "get"), ("keyRegex", text.as_str())]).collect();
    let rules: Vec<Pairs<'_>> = pairs.iter().map(|pair| &pair[..]).collect();
    let slice = slice(vec![port(80, 0, vec![filter(&rules, &[])])]);
    assert!(get(&slice, 80, "k256/a"));
    assert!(!get(&slice, 80, "k257/a"));
}

#[test]
fn expressions_have_a_cap_together_which_names_the_key() {
    // Each takes most of what one alone may.
    let texts: Vec<_> = (0..100).map(|n| format!("{n}(?:[a-c]{{15}}|[x-z]{{25}}){{40}}")).collect();
    let compiled = |count: usize| {
        let rules: Vec<_> =
            texts.iter().take(count).map(|text| [("command", "get"), ("keyRegex", text)]).collect();
        let rules: Vec<Pairs<'_>> = rules.iter().map(|pair| &pair[..]).collect();
        compile(vec![port(80, 0, vec![filter(&rules, &[])])])
    };
    assert!(compiled(1).is_ok());
    let fits = (1..100).take_while(|count| compiled(*count).is_ok()).count();
    assert!((2..100).contains(&fits), "{fits} fit");
    assert_eq!(
        compiled(fits + 1).expect_err("one too many").to_string(),
        "ingress port 80, rule 0: `keyRegex`: with this one, the regular expressions are too large \
         once compiled: use prefixes, or make repetitions smaller"
    );
}

#[test]
fn ranges_that_hold_a_port_have_a_cap() {
    // Each holds port 100, and no two are the same.
    let ranges = |count: u32| {
        let ranges = (1..count).map(|n| port(100 - n, 100 + n, vec![rule(&[n])]));
        compile([port(100, 0, vec![rule(&[1000])])].into_iter().chain(ranges).collect())
    };
    let most = u32::try_from(MAX_RANGES_OF_A_PORT).expect("small");
    let slice = ranges(most).expect("at the cap");
    for peer in [1, most - 1, 1000] {
        assert!(admits(&slice, 100, peer), "{peer}");
    }
    assert!(!admits(&slice, 99, 1000));
    assert_eq!(
        ranges(most + 1).expect_err("one too many").to_string(),
        "ingress: more than 64 ranges hold port 100: write fewer, wider ones"
    );
    // The same range again is no further one.
    let again = (0..2 * most).map(|n| port(1, 9, vec![rule(&[n])]));
    assert!(compile(again.collect()).is_ok());
}
