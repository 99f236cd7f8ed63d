//! Versions of a policy: what stays in force, and what is closed.

use remora_policy::{Inserted, PolicyKind, PolicyName};

use crate::common::{World, admission, document, policy, readings};

const GOOD: &str = "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: '80'}]}]}]";
const NEWER: &str = "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: '81'}]}]}]";
const BAD: &str = "endpointSelector: {}\ningress: [{toPorts: []}]";

fn admissions(world: &World) -> [String; 2] {
    let slice = world.slice("app=x");
    [80, 81].map(|port| admission(&slice, port, None))
}

fn name() -> PolicyName {
    PolicyName { namespace: Some("shop".into()), name: "p".into() }
}

#[test]
fn the_last_good_version_stays_when_an_edit_is_refused() {
    let mut world = World::default();
    assert_eq!(world.set.insert(policy(GOOD)), Inserted::InForce);
    assert_eq!(admissions(&world), ["open", "denied"]);
    assert_eq!(world.set.insert(policy(BAD)), Inserted::KeptLastGood);
    assert_eq!(admissions(&world), ["open", "denied"]);
    assert_eq!(world.set.refused().count(), 1);
    assert_eq!(world.set.insert(policy(NEWER)), Inserted::InForce);
    assert_eq!(admissions(&world), ["denied", "open"]);
    assert_eq!(world.set.refused().count(), 0);
}

#[test]
fn without_a_good_version_it_closes_until_one_comes() {
    let mut world = World::default();
    assert_eq!(world.set.insert(policy(BAD)), Inserted::Closed);
    assert_eq!(admissions(&world), ["denied", "denied"]);
    assert_eq!(world.set.insert(policy(GOOD)), Inserted::InForce);
    assert_eq!(admissions(&world), ["open", "denied"]);
}

#[test]
fn a_deleted_policy_restricts_and_closes_nothing() {
    for text in [GOOD, BAD] {
        let mut world = World::new([policy(text)]);
        assert_eq!(world.set.names().count(), 1);
        assert!(world.set.remove(PolicyKind::CiliumNetworkPolicy, &name()));
        assert!(!world.set.remove(PolicyKind::CiliumNetworkPolicy, &name()));
        assert_eq!(admissions(&world), ["open", "open"]);
    }
}

#[test]
fn policies_of_one_name_and_two_kinds_are_two() {
    let metadata = "{name: p, namespace: shop}";
    let own = document("policy.remora.dev/v1alpha1", "L7Policy", metadata, NEWER);
    let mut world = World::new(readings("own.yaml", &own));
    world.set.insert(policy(GOOD));
    assert_eq!(admissions(&world), ["open", "open"]);
    world.set.remove(PolicyKind::L7Policy, &name());
    assert_eq!(admissions(&world), ["open", "denied"]);
}

#[test]
fn refused_policies_without_a_name_are_told_apart_by_their_place() {
    let text =
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nspec: {endpointSelector: {}}\n";
    let mut world = World::new(readings("a.yaml", text));
    for reading in readings("b.yaml", &format!("{text}---\n{text}")) {
        world.set.insert(reading);
    }
    let names: Vec<_> = world.set.names().map(|(_, name)| name.to_string()).collect();
    assert_eq!(names, ["default/(a.yaml:1)", "default/(b.yaml:1)", "default/(b.yaml:5)"]);
}
