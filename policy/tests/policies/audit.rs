//! Policies that only watch, beside those that are enforced.

use remora_policy::{Admission, Inserted, TrafficDirection, Verdict};

use crate::common::{World, admission, document, errors, memcache, readings, warnings};

const POD: &str = "app=cache";

fn own(name: &str, spec: &str) -> remora_policy::Reading {
    let metadata = format!("{{name: {name}, namespace: shop}}");
    let yaml = document("policy.remora.dev/v1alpha1", "L7Policy", &metadata, spec);
    readings("p.yaml", &yaml).pop().expect("one")
}

fn spec(mode: &str, command: &str) -> String {
    format!(
        "mode: {mode}\nendpointSelector: {{}}\ningress: [{{fromEndpoints: [{{matchLabels: {{role: a}}}}], \
         toPorts: [{{ports: [{{port: '80'}}], rules: {{l7proto: memcache, l7: [{{command: {command}}}]}}}}]}}]"
    )
}

fn verdicts(world: &World, peer: u32) -> [Verdict; 2] {
    let slice = world.slice(POD);
    ["get a", "set a"].map(|line| memcache(&slice, 80, Some(peer), line).verdict)
}

#[test]
fn what_only_a_watching_policy_would_deny_passes_as_an_audit() {
    let world =
        World::new([own("p", &spec("audit", "get"))]).with(301, "role=a").with(302, "role=b");
    assert_eq!(verdicts(&world, 301), [Verdict::Forwarded, Verdict::Audit]);
    let slice = world.slice(POD);
    assert_eq!(admission(&slice, 80, Some(301)), "memcache", "its requests are looked at");
    let Admission::Opaque(decision) = slice.connection(TrafficDirection::Ingress, 80, Some(302))
    else {
        panic!("denied")
    };
    assert_eq!(decision.verdict, Verdict::Audit);
    assert_eq!(decision.reason.to_string(), "no rule of port 80 allows identity 302");
    let allowed = memcache(&slice, 80, Some(301), "get a");
    assert_eq!(allowed.rule.as_deref(), Some("shop/p ingress[0].toPorts[0].l7[0]"));
}

#[test]
fn an_enforcing_policys_denial_wins_and_a_watching_one_allows_nothing() {
    let both = |watching: &str, enforcing: &str| {
        let policies = [own("w", &spec("audit", watching)), own("e", &spec("enforce", enforcing))];
        let world = World::new(policies).with(301, "role=a").with(302, "role=b");
        [verdicts(&world, 301), verdicts(&world, 302)]
    };
    use Verdict::{Dropped, Forwarded};
    assert_eq!(both("set", "get"), [[Forwarded, Dropped], [Dropped, Dropped]]);
    assert_eq!(both("get", "set"), [[Dropped, Forwarded], [Dropped, Dropped]]);
}

#[test]
fn a_watching_deny_is_told_where_enforcing_policies_allow() {
    let deny = "mode: audit\nendpointSelector: {}\ningressDeny: [{fromEndpoints: [{matchLabels: {role: a}}]}]";
    let world = World::new([own("w", deny), own("e", &spec("enforce", "get"))]).with(301, "role=a");
    assert_eq!(verdicts(&world, 301), [Verdict::Audit, Verdict::Dropped]);
    let decision = memcache(&world.slice(POD), 80, Some(301), "get a");
    assert_eq!(decision.rule.as_deref(), Some("shop/w ingressDeny[0]"));
}

#[test]
fn ciliums_kinds_say_their_mode_in_an_annotation() {
    let read = |value: &str| {
        let metadata = format!(
            "{{name: p, namespace: shop, annotations: {{policy.remora.dev/mode: {value}}}}}"
        );
        let yaml = document(
            "cilium.io/v2",
            "CiliumNetworkPolicy",
            &metadata,
            "endpointSelector: {}\ningress: [{}]",
        );
        readings("p.yaml", &yaml).pop().expect("one")
    };
    let met = |reading| admission(&World::new([reading]).slice(POD), 80, None);
    assert_eq!(["audit", "enforce"].map(|mode| met(read(mode))), ["open", "denied"]);
    assert_eq!(
        errors(&read("loud")),
        "p.yaml:3: metadata.annotations[\"policy.remora.dev/mode\"]: is no mode; write `enforce` or `audit`"
    );
    assert_eq!(met(read("loud")), "denied");
    let metadata = "{name: p, namespace: shop, annotations: {policy.remora.dev/mode: audit}}";
    let yaml = document(
        "policy.remora.dev/v1alpha1",
        "L7Policy",
        metadata,
        "endpointSelector: {}\ningress: [{}]",
    );
    let reading = readings("p.yaml", &yaml).pop().expect("one");
    assert!(
        warnings(&reading)[0].ends_with("is not read; write `mode` into `spec`"),
        "{reading:?}"
    );
    assert_eq!(met(reading), "denied");
}

#[test]
fn a_refused_policy_that_would_only_watch_closes_nothing() {
    let broken = "mode: audit\nendpointSelector: {}\ningress: [{icmps: []}]";
    let mut world = World::default();
    assert_eq!(world.set.insert(own("p", broken)), Inserted::Closed);
    assert_eq!(admission(&world.slice(POD), 80, None), "open");
    // One that was enforced stays so.
    world.set.insert(own("p", &spec("enforce", "get")));
    assert_eq!(world.set.insert(own("p", broken)), Inserted::KeptLastGood);
    assert_eq!(admission(&world.slice(POD), 80, None), "denied");
}
