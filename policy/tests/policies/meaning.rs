//! Laws that hold for all policies: what they mean is what is decided.

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use remora_policy::{
    Catalog, ClusterView, Encoded, Endpoint, Identity, Labels, Mode, NamedPorts, PeerRule, Policy,
    PolicySet, Reading, Section, Slice, TrafficDirection, Verdict, encode,
};

use crate::{
    common::{admitted, compile, judge, labels, recognise},
    evaluator::Question,
    generate::{PORTS, REQUESTS},
    random::{self, PEOPLE, POD, Who},
    reference::Outcome,
};

const DIRECTIONS: [TrafficDirection; 2] = [TrafficDirection::Ingress, TrafficDirection::Egress];
const ENFORCED: &[Mode] = &[Mode::Enforce];
const ALL: &[Mode] = &[Mode::Enforce, Mode::Audit];

/// How many random policies are tried with ten random requests each, in an
/// ordinary run and in one with `REMORA_FULL=1`.
const POLICIES: (u32, u32) = (10_000, 100_000);

/// The cluster that the policies are about.
struct Town {
    identities: BTreeMap<u32, Identity>,
    catalog: Catalog,
    ports: NamedPorts,
    pod: Labels,
}

/// One thing to ask.
type Asked = (TrafficDirection, u16, Who, (&'static str, &'static str));

fn asked() -> impl Strategy<Value = Asked> {
    let pick = proptest::sample::select::<TrafficDirection>;
    (
        pick(DIRECTIONS.to_vec()),
        proptest::sample::select(PORTS.to_vec()),
        proptest::sample::select(PEOPLE.to_vec()),
        proptest::sample::select(REQUESTS.to_vec()),
    )
}

impl Town {
    fn new() -> Self {
        Self {
            identities: random::identities(),
            catalog: random::catalog(),
            ports: random::ports(),
            pod: labels(POD),
        }
    }

    fn encode(&self, policies: &[Policy]) -> Encoded {
        let mut set = PolicySet::default();
        policies.iter().for_each(|policy| {
            set.insert(Reading::Accepted(policy.clone()));
        });
        let view = ClusterView { identities: &self.identities, catalog: &self.catalog };
        let endpoint = Endpoint { id: 1, ips: &[], labels: &self.pod, ports: &self.ports };
        encode(&set, &endpoint, &view)
    }

    /// The identity by which the slice's owner knows somebody.
    fn identity(&self, encoded: &Encoded, who: Who) -> Option<u32> {
        match who {
            Who::Known(identity) => Some(identity),
            Who::At(address) => recognise(encoded, &self.identities, address),
            Who::Unknown => None,
        }
    }

    /// What the evaluator says.
    fn meant(
        &self,
        policies: &[Policy],
        modes: &[Mode],
        (direction, port, who, request): Asked,
    ) -> Outcome {
        let world = Labels::reserved(&["world"]);
        let (peer, address) = match who {
            Who::Known(identity) => (self.identities.get(&identity).map(|own| &own.labels), None),
            Who::At(address) => (Some(&world), Some(address.parse().expect("an address"))),
            Who::Unknown => (None, None),
        };
        let (pod, catalog) = (&self.pod, &self.catalog);
        Question { direction, pod, peer, address, port, catalog }.judge(policies, modes, request)
    }
}

/// What the slice says: what is met, and the verdict on the request.
fn decided(
    slice: &Slice,
    peer: Option<u32>,
    (direction, port, _, request): Asked,
) -> (String, Verdict) {
    let line = format!("{} {}", request.0, request.1);
    let decision = judge(slice, direction, port, peer, "memcache", ["command", "key"], line.trim());
    (admitted(slice, direction, port, peer), decision.verdict)
}

#[test]
fn decisions_are_what_the_policies_mean() {
    let full = std::env::var_os("REMORA_FULL").is_some();
    let town = Town::new();
    let mut runner = TestRunner::deterministic();
    let policies = random::policies(vec!["memcache", "memcache", "memcache", "r2d2"]);
    let questions = proptest::collection::vec(asked(), 10);
    let mut outcomes = BTreeMap::new();
    for _ in 0..if full { POLICIES.1 } else { POLICIES.0 } {
        let policies = policies.new_tree(&mut runner).expect("policies").current();
        let encoded = town.encode(&policies);
        let slice = compile(&encoded.policy);
        for asked in questions.new_tree(&mut runner).expect("questions").current() {
            let peer = town.identity(&encoded, asked.2);
            let (met, verdict) = decided(&slice, peer, asked);
            let enforced = town.meant(&policies, ENFORCED, asked);
            let all = town.meant(&policies, ALL, asked);
            let expected = match (enforced, all) {
                ((_, false), _) => Verdict::Dropped,
                ((_, true), (_, false)) => Verdict::Audit,
                _ => Verdict::Forwarded,
            };
            assert_eq!(verdict, expected, "{asked:?} {policies:?} {:?}", encoded.policy);
            let meets = if enforced.0 == "open" && all.0 != "denied" { all.0 } else { enforced.0 };
            assert_eq!(met, meets, "{asked:?} {policies:?} {:?}", encoded.policy);
            *outcomes.entry((enforced, verdict == Verdict::Audit)).or_insert(0_u32) += 1;
        }
    }
    // A law that holds because nothing ever happens would be none.
    for outcome in [
        ("denied", false),
        ("open", true),
        ("memcache", true),
        ("memcache", false),
        ("r2d2", false),
    ] {
        let count = outcomes.get(&(outcome, false)).copied().unwrap_or(0);
        assert!(count > 500, "{outcome:?} only {count} times of {outcomes:?}");
    }
    assert!(
        outcomes.get(&(("open", true), true)).is_some_and(|count| *count > 500),
        "{outcomes:?}"
    );
}

/// The rules of a policy that allow, where what they do not is denied.
fn allows(policies: &mut [Policy]) -> Vec<&mut Vec<PeerRule>> {
    let rules = policies.iter_mut().flat_map(|policy| &mut policy.rules);
    let sections = rules.flat_map(|rule| [&mut rule.ingress, &mut rule.egress]).flatten();
    sections.map(|section| &mut section.allow).filter(|rules| !rules.is_empty()).collect()
}

/// Has every section deny by default: without that, a rule that filters is a
/// restriction, and to remove it widens.
fn deny_by_default(policies: &mut [Policy]) {
    for rule in policies.iter_mut().flat_map(|policy| &mut policy.rules) {
        for section in [&mut rule.ingress, &mut rule.egress].into_iter().flatten() {
            section.default_deny = true;
        }
    }
}

/// What only watches has no effect that could be wider.
fn enforce(policies: &mut [Policy]) {
    let rules = policies.iter_mut().flat_map(|policy| &mut policy.rules);
    rules.for_each(|rule| rule.mode = Mode::Enforce);
}

/// The first question that is answered more openly after than before.
fn widened(town: &Town, before: &[Policy], after: &[Policy], asked: &[Asked]) -> Option<Asked> {
    let [before, after] = [before, after].map(|policies| {
        let encoded = town.encode(policies);
        let slice = compile(&encoded.policy);
        (encoded, slice)
    });
    let answer = |(encoded, slice): &(Encoded, Slice), asked: Asked| {
        let (met, verdict) = decided(slice, town.identity(encoded, asked.2), asked);
        (met == "open", verdict != Verdict::Dropped)
    };
    asked.iter().copied().find(|asked| {
        let (was_open, passed) = answer(&before, *asked);
        let (is_open, passes) = answer(&after, *asked);
        is_open && !was_open || passes && !passed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn policies_without_one_of_their_allows_are_no_wider(
        policies in random::policies(vec!["memcache"]),
        which in any::<(prop::sample::Index, prop::sample::Index)>(),
        asked in proptest::collection::vec(asked(), 40),
    ) {
        let mut before = policies;
        enforce(&mut before);
        deny_by_default(&mut before);
        let mut after = before.clone();
        let mut lists = allows(&mut after);
        if lists.is_empty() { return Ok(()) }
        let list = which.0.index(lists.len());
        let rule = which.1.index(lists[list].len());
        lists[list].remove(rule);
        prop_assert_eq!(widened(&Town::new(), &before, &after, &asked).map(|asked| format!("{asked:?}")), None);
    }

    #[test]
    fn policies_with_one_more_deny_are_no_wider(
        policies in random::policies(vec!["memcache", "memcache", "r2d2"]),
        deny in random::deny(),
        direction in any::<bool>(),
        asked in proptest::collection::vec(asked(), 40),
    ) {
        let mut policies = policies;
        enforce(&mut policies);
        let mut after = policies.clone();
        let Some(rule) = after.iter_mut().flat_map(|policy| &mut policy.rules).next() else { return Ok(()) };
        let section = if direction { &mut rule.ingress } else { &mut rule.egress };
        let silent = Section { default_deny: false, allow: Vec::new(), deny: Vec::new() };
        section.get_or_insert(silent).deny.push(deny);
        prop_assert_eq!(widened(&Town::new(), &policies, &after, &asked).map(|asked| format!("{asked:?}")), None);
    }

    #[test]
    fn a_slice_names_nobody_whom_it_does_not_say_it_names(policies in random::policies(vec!["memcache", "r2d2"])) {
        let encoded = Town::new().encode(&policies);
        let policy = &encoded.policy;
        let audit = policy.audit.iter().flat_map(|own| [&own.ingress_per_port_policies, &own.egress_per_port_policies]);
        let ports = [&policy.ingress_per_port_policies, &policy.egress_per_port_policies].into_iter().chain(audit).flatten();
        // Nobody has identity 255.
        for peer in ports.flat_map(|port| &port.rules).flat_map(|rule| &rule.remote_policies).filter(|peer| **peer != 255) {
            prop_assert!(encoded.identities.contains(peer));
        }
    }
}
