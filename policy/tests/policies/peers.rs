//! Whom a selector means.

use crate::common::{World, admission, document, errors, policy, readings, warnings};

const SHOP: &str = "app=cache";

/// Which of the peers a selector lets in to a pod of namespace `shop`.
fn let_in(api_version: &str, kind: &str, metadata: &str, selector: &str) -> Vec<u32> {
    let spec = format!("endpointSelector: {{}}\ningress: [{{fromEndpoints: [{selector}]}}]");
    let world = World::new(readings("p.yaml", &document(api_version, kind, metadata, &spec)))
        .with(1, "role=a")
        .with(2, "role=b,k8s:io.cilium.k8s.policy.serviceaccount=runner")
        .with(3, "role=a,k8s:io.kubernetes.pod.namespace=bar")
        .with(
            4,
            "role=a,k8s:io.kubernetes.pod.namespace=baz,k8s:io.cilium.k8s.namespace.labels.team=t",
        )
        .with(5, "other=x,any:role=a");
    let slice = world.slice(SHOP);
    (1..=5).filter(|peer| admission(&slice, 80, Some(*peer)) == "open").collect()
}

#[test]
fn selectors_of_a_namespaced_policy() {
    for (selector, expected) in [
        ("{}", vec![1, 2, 5]),
        ("{matchLabels: {role: a}}", vec![1, 5]),
        ("{matchLabels: {'any:role': a}}", vec![1, 5]),
        ("{matchLabels: {'k8s:role': a}}", vec![1]),
        ("{matchLabels: {role: a, other: x}}", vec![5]),
        ("{matchLabels: {role: a, 'k8s:io.kubernetes.pod.namespace': bar}}", vec![3]),
        ("{matchLabels: {io.kubernetes.pod.namespace: bar}}", vec![3]),
        ("{matchLabels: {io.cilium.k8s.namespace.labels.team: t}}", vec![4]),
        (
            "{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: Exists}]}",
            vec![1, 2, 3, 4, 5],
        ),
        ("{matchLabels: {io.cilium.k8s.policy.serviceaccount: runner}}", vec![2]),
        ("{matchExpressions: [{key: role, operator: In, values: [a, b]}]}", vec![1, 2, 5]),
        ("{matchExpressions: [{key: role, operator: NotIn, values: [a]}]}", vec![2]),
        ("{matchExpressions: [{key: other, operator: NotIn, values: [x]}]}", vec![1, 2]),
        ("{matchExpressions: [{key: other, operator: Exists}]}", vec![5]),
        ("{matchExpressions: [{key: other, operator: DoesNotExist}]}", vec![1, 2]),
        (
            "{matchLabels: {role: a}, matchExpressions: [{key: other, operator: DoesNotExist}]}",
            vec![1],
        ),
        ("{matchLabels: {role: a}}, {matchLabels: {role: b}}", vec![1, 2, 5]),
    ] {
        let metadata = "{name: p, namespace: shop}";
        for (api_version, kind) in
            [("cilium.io/v2", "CiliumNetworkPolicy"), ("policy.remora.dev/v1alpha1", "L7Policy")]
        {
            assert_eq!(
                let_in(api_version, kind, metadata, selector),
                expected,
                "{kind} {selector}"
            );
        }
    }
}

#[test]
fn selectors_of_a_policy_of_the_cluster() {
    for (selector, expected) in [
        ("{}", vec![1, 2, 3, 4, 5]),
        ("{matchLabels: {role: a}}", vec![1, 3, 4, 5]),
        ("{matchLabels: {io.kubernetes.pod.namespace: bar}}", vec![3]),
    ] {
        for (api_version, kind) in [
            ("cilium.io/v2", "CiliumClusterwideNetworkPolicy"),
            ("policy.remora.dev/v1alpha1", "ClusterL7Policy"),
        ] {
            assert_eq!(
                let_in(api_version, kind, "{name: p}", selector),
                expected,
                "{kind} {selector}"
            );
        }
    }
}

#[test]
fn a_namespaced_policy_selects_pods_of_its_own_namespace_only() {
    let spec = "endpointSelector: {matchLabels: {io.kubernetes.pod.namespace: bar}}\ningress: [{}]";
    let reading = policy(spec);
    assert_eq!(
        warnings(&reading),
        ["p.yaml:5: spec.endpointSelector: a policy of namespace shop selects there only; \
          remove the namespace from its selector"]
    );
    let world = World::new([reading]);
    assert_eq!(admission(&world.slice(SHOP), 80, None), "denied");
    let elsewhere = "app=cache,k8s:io.kubernetes.pod.namespace=bar";
    assert_eq!(admission(&world.slice(elsewhere), 80, None), "open");
}

#[test]
fn its_own_namespace_may_be_named() {
    let spec =
        "endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': shop}}\ningress: [{}]";
    assert!(warnings(&policy(spec)).is_empty());
}

#[test]
fn a_policy_without_a_namespace_is_of_the_default_one() {
    let spec = "endpointSelector: {}\ningress: [{}]";
    let yaml = document("cilium.io/v2", "CiliumNetworkPolicy", "{name: p}", spec);
    let world = World::new(readings("p.yaml", &yaml));
    assert_eq!(
        admission(&world.slice("k8s:io.kubernetes.pod.namespace=default"), 80, None),
        "denied"
    );
    assert_eq!(admission(&world.slice(SHOP), 80, None), "open");
}

#[test]
fn what_is_no_selector_is_refused_where_it_stands() {
    for (selector, expected) in [
        ("~", "spec.endpointSelector: has no value; write one, or leave the field out"),
        ("[]", "spec.endpointSelector: expected a map, found a list; write a map"),
        (
            "{matchlabels: {a: b}}",
            "spec.endpointSelector.matchlabels: is not a known field; did you mean `matchLabels`?",
        ),
        (
            "{matchLabels: ~}",
            "spec.endpointSelector.matchLabels: has no value; write one, or leave the field out",
        ),
        (
            "{matchLabels: {a: 1}}",
            "spec.endpointSelector.matchLabels.a: expected a string, found a number; put it in quotes",
        ),
        (
            "{matchLabels: {a: true}}",
            "spec.endpointSelector.matchLabels.a: expected a string, found a boolean; put it in quotes",
        ),
        (
            "{matchLabels: {'cidr:x': ''}}",
            "spec.endpointSelector.matchLabels[\"cidr:x\"]: `cidr:` is no source of labels; write `k8s:` or `any:`",
        ),
        (
            "{matchLabels: {'any:': ''}}",
            "spec.endpointSelector.matchLabels[\"any:\"]: a label without a key; write one",
        ),
        (
            "{matchExpressions: {}}",
            "spec.endpointSelector.matchExpressions: expected a list, found a map; write a list",
        ),
        (
            "{matchExpressions: [{key: a, operator: in, values: [x]}]}",
            "spec.endpointSelector.matchExpressions[0].operator: is no operator; write In, NotIn, Exists or DoesNotExist",
        ),
        (
            "{matchExpressions: [{key: a, operator: In}]}",
            "spec.endpointSelector.matchExpressions[0].operator: needs `values`; add a list of at least one",
        ),
        (
            "{matchExpressions: [{key: a, operator: NotIn, values: []}]}",
            "spec.endpointSelector.matchExpressions[0].values: is empty; write at least one value",
        ),
        (
            "{matchExpressions: [{key: a, operator: Exists, values: [x]}]}",
            "spec.endpointSelector.matchExpressions[0].values: `Exists` takes no values; remove them",
        ),
        (
            "{matchExpressions: [{key: a, operator: In, values: [1]}]}",
            "spec.endpointSelector.matchExpressions[0].values[0]: expected a string, found a number; put it in quotes",
        ),
        (
            "{matchExpressions: [{operator: Exists}]}",
            "spec.endpointSelector.matchExpressions[0].key: is missing; add it",
        ),
    ] {
        let reading = policy(&format!("endpointSelector: {selector}\ningress: [{{}}]"));
        assert_eq!(errors(&reading), format!("p.yaml:5: {expected}"), "{selector}");
        // With its selector, the policy's reach is lost: the namespace is closed.
        assert_eq!(admission(&World::new([reading]).slice(SHOP), 80, None), "denied", "{selector}");
    }
}
