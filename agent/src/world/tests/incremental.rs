//! The law of the incremental world: whatever came in whatever order, its
//! slices are those of a world that is told everything at once.

use proptest::prelude::*;
use remora_manifest::Node;
use remora_policy::PolicyKind;

use super::*;

const ROLES: [&str; 3] = ["droid", "jedi", "sith"];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Pod { name: usize, uid: u8, role: usize, address: u8, is_completed: bool },
    NoPod(usize),
    Namespace { team: u8 },
    NoNamespace,
    Policy { name: usize, subject: usize, peer: usize, port: u16 },
    NoPolicy(usize),
    Node { address: u8 },
    NoNode,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let role = || 0..ROLES.len();
    prop_oneof![
        6 => (name(), 0..2_u8, role(), 0..4_u8, any::<bool>()).prop_map(
            |(name, uid, role, address, is_completed)| Step::Pod { name, uid, role, address, is_completed }
        ),
        2 => name().prop_map(Step::NoPod),
        1 => (0..2_u8).prop_map(|team| Step::Namespace { team }),
        1 => Just(Step::NoNamespace),
        4 => (name(), role(), role(), 1..3_u16).prop_map(
            |(name, subject, peer, port)| Step::Policy { name, subject, peer, port }
        ),
        2 => name().prop_map(Step::NoPolicy),
        1 => (0..4_u8).prop_map(|address| Step::Node { address }),
        1 => Just(Step::NoNode),
    ]
}

/// What is to be there, or no longer.
fn change(step: &Step) -> (Key, Option<String>) {
    let pod = |name: usize| PodKey { namespace: "shop".to_owned(), name: NAMES[name].to_owned() };
    let policy = |name: usize| remora_policy::PolicyName {
        namespace: Some("shop".to_owned()),
        name: NAMES[name].to_owned(),
    };
    match step {
        Step::Pod { name, uid, role, address, is_completed } => {
            let phase = if *is_completed { "Succeeded" } else { "Running" };
            let text = super::pod(
                NAMES[*name],
                &format!("role: {}", ROLES[*role]),
                &format!("10.0.0.{address}"),
            )
            .replace("uid: uid-", &format!("uid: uid-{uid}-"))
            .replace("status: {", &format!("status: {{phase: {phase}, "));
            (Key::Pod(pod(*name)), Some(text))
        }
        Step::NoPod(name) => (Key::Pod(pod(*name)), None),
        Step::Namespace { team } => {
            let text = format!(
                "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{team: t{team}}}}}"
            );
            (Key::Namespace("shop".to_owned()), Some(text))
        }
        Step::NoNamespace => (Key::Namespace("shop".to_owned()), None),
        Step::Policy { name, subject, peer, port } => {
            let team = if *port > 1 { ", io.cilium.k8s.namespace.labels.team: t1" } else { "" };
            let text = format!(
                "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {}, namespace: shop}}\nspec:\n  \
                 endpointSelector: {{matchLabels: {{role: {}}}}}\n  ingress:\n  \
                 - fromEndpoints: [{{matchLabels: {{role: {}{team}}}}}]\n    \
                 toPorts: [{{ports: [{{port: '{port}', protocol: TCP}}]}}]\n",
                NAMES[*name], ROLES[*subject], ROLES[*peer],
            );
            (Key::Policy(PolicyKind::CiliumNetworkPolicy, policy(*name)), Some(text))
        }
        Step::NoPolicy(name) => (Key::Policy(PolicyKind::CiliumNetworkPolicy, policy(*name)), None),
        Step::Node { address } => {
            let text = format!(
                "apiVersion: v1\nkind: Node\nmetadata: {{name: n}}\nspec: {{podCIDRs: [10.0.{address}.0/24]}}\n\
                 status: {{addresses: [{{type: InternalIP, address: 10.0.0.{address}}}]}}"
            );
            (Key::Node("n".to_owned()), Some(text))
        }
        Step::NoNode => (Key::Node("n".to_owned()), None),
    }
}

fn object(text: &str) -> Object {
    let node = read(text, Path::new("x")).remove(0).expect("readable");
    Object::read(&Node::from_json(&node.to_json()), 0, Registry::BUILT_IN)
}

fn apply(world: &mut World, key: &Key, text: Option<&String>) {
    world.apply(match text {
        Some(text) => Change::Applied(object(text)),
        None => Change::Deleted(key.clone()),
    });
}

/// A slice with the addresses of identities in place of their numbers.
fn plain(slice: &PodSlice) -> String {
    let addresses = |number: u64| {
        let hosts = slice.hosts.iter().find(|hosts| hosts.policy == number);
        hosts.map(|hosts| hosts.host_addresses.join(",")).expect("a named identity has hosts")
    };
    let mut rules = Vec::new();
    for port in &slice.policy.ingress_per_port_policies {
        rules.push(format!("port {}", port.port));
        for rule in &port.rules {
            let mut peers: Vec<_> =
                rule.remote_policies.iter().map(|number| addresses((*number).into())).collect();
            peers.sort();
            rules.push(format!("{} {:?} {peers:?}", rule.name, rule.verdict));
        }
    }
    let mut hosts: Vec<_> =
        slice.hosts.iter().map(|hosts| hosts.host_addresses.join(",")).collect();
    hosts.sort();
    let own: Vec<_> = slice.addresses.iter().map(|(own, by)| (own, by.is_some())).collect();
    format!("{} {own:?} {:?} {rules:#?} {hosts:?}", slice.uid, slice.policy.endpoint_ips)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn history_makes_no_difference(steps in prop::collection::vec((step(), any::<bool>()), 1..40)) {
        let mut world = World::of_cluster(Registry::BUILT_IN, Vec::new());
        let mut last: BTreeMap<Key, String> = BTreeMap::new();
        let first = (Step::Namespace { team: 1 }, true);
        for (step, is_settled) in std::iter::once(&first).chain(&steps) {
            let (key, text) = change(step);
            apply(&mut world, &key, text.as_ref());
            match text {
                Some(text) => drop(last.insert(key, text)),
                None => drop(last.remove(&key)),
            }
            if *is_settled {
                world.settle();
                for slice in world.slices().values() {
                    check(slice)?;
                }
            }
        }
        world.settle();
        let mut whole = World::of_cluster(Registry::BUILT_IN, Vec::new());
        last.iter().for_each(|(key, text)| apply(&mut whole, key, Some(text)));
        whole.settle();
        let plain = |world: &World| {
            world.slices().iter().map(|(key, slice)| (key.clone(), plain(slice))).collect::<Vec<_>>()
        };
        prop_assert_eq!(plain(&world), plain(&whole));
    }
}

/// No address is in two identities, and what is told by address is what is told by identity.
fn check(slice: &PodSlice) -> Result<(), TestCaseError> {
    let mut seen = BTreeMap::new();
    for hosts in slice.hosts.iter().skip(2) {
        for address in &hosts.host_addresses {
            let before = seen.insert(address.parse().expect("an address"), hosts.policy);
            prop_assert_eq!(before, None);
        }
    }
    let peers: BTreeMap<_, _> =
        slice.peers.iter().map(|(address, number)| (*address, u64::from(*number))).collect();
    prop_assert_eq!(seen, peers);
    Ok(())
}
