//! Documents that are refused as a whole, and how far what they close reaches.

use remora_policy::{Admission, TrafficDirection};

use crate::{
    common::{World, admission, document, errors, memcache, policy, readings, warnings},
    refusals::LATER,
};

#[test]
fn a_refused_policy_of_egress_closes_egress_and_leaves_ingress_open() {
    let reading = policy("endpointSelector: {}\negress: [{toFQDNs: [{matchName: x}]}]");
    assert_eq!(errors(&reading), format!("p.yaml:6: spec.egress[0].toFQDNs: {LATER}"));
    let slice = World::new([reading]).slice("app=cache");
    assert_eq!(admission(&slice, 80, None), "open");
    let egress = slice.connection(TrafficDirection::Egress, 80, None);
    assert!(matches!(egress, Admission::Deny(_)));
}

#[test]
fn a_policy_without_a_selector_closes_its_namespace() {
    let reading = policy("ingress: [{}]");
    let message = ": has no `endpointSelector`; add one: `endpointSelector: {}` selects every pod";
    assert_eq!(errors(&reading), format!("p.yaml:5: spec{message}"));
    let world = World::new([reading]);
    assert_eq!(admission(&world.slice("app=any"), 80, None), "denied");
    let elsewhere = "k8s:io.kubernetes.pod.namespace=bar";
    assert_eq!(admission(&world.slice(elsewhere), 80, None), "open");
}

#[test]
fn a_policy_of_nodes_is_refused_and_closes_no_pod() {
    let spec = "nodeSelector: {}\ningress: [{}]";
    let yaml = document("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "{name: p}", spec);
    let readings = readings("p.yaml", &yaml);
    assert_eq!(errors(&readings[0]), format!("p.yaml:5: spec.nodeSelector: {LATER}"));
    assert_eq!(admission(&World::new(readings).slice("app=any"), 80, None), "open");
}

#[test]
fn modes_of_our_own_kinds() {
    for (mode, message) in [
        ("enforce", None),
        ("loud", Some("is no mode; write `enforce` or `audit`")),
        ("7", Some("expected a string, found a number; put it in quotes")),
    ] {
        let spec = format!("mode: {mode}\nendpointSelector: {{}}\ningress: [{{}}]");
        let metadata = "{name: p, namespace: shop}";
        let yaml = document("policy.remora.dev/v1alpha1", "L7Policy", metadata, &spec);
        let reading = readings("p.yaml", &yaml).pop().expect("one");
        match message {
            Some(message) => {
                assert_eq!(errors(&reading), format!("p.yaml:5: spec.mode: {message}"));
            }
            None => assert!(warnings(&reading).is_empty()),
        }
        assert_eq!(admission(&World::new([reading]).slice("a=b"), 80, None), "denied", "{mode}");
    }
}

#[test]
fn headers() {
    let spec = "spec: {endpointSelector: {}, ingress: [{}]}";
    for (header, message) in [
        (
            "apiVersion: cilium.io/v3\nkind: CiliumNetworkPolicy\nmetadata: {name: p}",
            "1: apiVersion: is not read; write `cilium.io/v2`",
        ),
        ("kind: CiliumNetworkPolicy\nmetadata: {name: p}", "1: apiVersion: is missing; add it"),
        ("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy", "1: metadata: is missing; add it"),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {}",
            "3: metadata.name: is missing; add it",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a b}",
            "3: metadata.name: is no name; write lower-case letters, digits, `-` and `.`",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: 7}",
            "3: metadata.namespace: expected a string, found a number; put it in quotes",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p, namespace: n}",
            "3: metadata.namespace: a CiliumClusterwideNetworkPolicy is of the whole cluster; remove the namespace",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\ningress: [{}]",
            "4: ingress: does not belong here; it belongs in `spec`",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nendpointSelector: {}",
            "4: endpointSelector: does not belong here; it belongs in `spec`",
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspecs: []",
            "4: specs: is empty; write `spec`, or add one",
        ),
    ] {
        let readings = readings("p.yaml", &format!("{header}\n{spec}\n"));
        assert_eq!(errors(&readings[0]), format!("p.yaml:{message}"), "{header}");
        let here = World::new(readings).slice("k8s:io.kubernetes.pod.namespace=default");
        assert_eq!(admission(&here, 80, None), "denied", "{header}");
    }
}

#[test]
fn a_policy_whose_namespace_cannot_be_read_closes_every_namespace() {
    let yaml = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: 7}\nspec: {endpointSelector: {}, ingress: [{}]}";
    let world = World::new(readings("p.yaml", yaml));
    assert_eq!(admission(&world.slice("app=x"), 80, None), "denied");
}

#[test]
fn a_document_without_a_spec_closes_its_namespace() {
    for (rest, message) in [
        ("", "1: document: has neither `spec` nor `specs`; add one"),
        ("spec:", "4: spec: has no value; write one, or leave the field out"),
        ("spec: []", "4: spec: expected a map, found a list; write a map"),
    ] {
        let header = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\n";
        let readings = readings("p.yaml", &format!("{header}{rest}\n"));
        assert_eq!(errors(&readings[0]), format!("p.yaml:{message}"), "{rest}");
        assert_eq!(admission(&World::new(readings).slice("app=x"), 80, None), "denied", "{rest}");
    }
}

#[test]
fn a_policy_that_is_refused_is_closed_even_beside_one_that_allows() {
    let allow = "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: '80'}]}]}]";
    let metadata = "{name: q, namespace: shop}";
    let other = document("cilium.io/v2", "CiliumNetworkPolicy", metadata, allow);
    let mut all = readings("q.yaml", &other);
    all.push(policy("endpointSelector: {}\ningress: [{icmps: []}]"));
    let slice = World::new(all).slice("app=x");
    let decision = memcache(&slice, 80, None, "get a");
    assert_eq!(decision.rule.as_deref(), Some("shop/p (refused)"));
    assert_eq!(decision.reason.to_string(), "a rule denies the peer");
}

#[test]
fn documents_of_other_kinds_are_no_policies() {
    for (yaml, expected) in [
        ("kind: CiliumNetworkPolicy", true),
        ("apiVersion: cilium.io/v3\nkind: CiliumNetworkPolicy", true),
        ("kind: ClusterL7Policy", true),
        ("apiVersion: v1\nkind: Pod", false),
        ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy", false),
        ("kind: 7", false),
        ("[]", false),
    ] {
        let document =
            remora_manifest::read(yaml, std::path::Path::new("x")).remove(0).expect("YAML");
        assert_eq!(remora_policy::is_policy(&document), expected, "{yaml}");
    }
}
