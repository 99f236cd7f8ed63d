//! Egress, entities, addresses, services, deny rules, ranges and names of
//! ports: whom and what they mean.

use std::collections::BTreeMap;

use remora_policy::{CidrGroup, Labels, NamedPorts, Prefix, ServiceBackends};

use crate::common::{World, admission, errors, labels, memcache, policy, reach, warnings};

const POD: &str = "app=cache";

/// Peers 301 (role=a), 302 (role=b), node 1, another node 6, and the world.
fn world(spec: &str) -> World {
    let spec = format!("endpointSelector: {{matchLabels: {{app: cache}}}}\n{spec}");
    let reading = policy(&spec);
    if let remora_policy::Reading::Refused(refused) = &reading {
        panic!("{spec}: {}", refused.report());
    }
    let mut world = World::new([reading]).with(301, "role=a").with(302, "role=b").with_world(&[
        (401, "10.0.0.0/8"),
        (402, "10.1.0.0/16"),
        (403, "0.0.0.0/1"),
        (404, "128.0.0.0/1"),
        (405, "192.0.2.7/32"),
    ]);
    for (identity, names) in
        [(1, vec!["host"]), (6, vec!["remote-node"]), (7, vec!["remote-node", "kube-apiserver"])]
    {
        world.identities.insert(identity, Labels::reserved(&names).into());
    }
    world
}

/// Which of everybody are let in at port 80: by identity, or by address.
fn let_in(world: &World) -> Vec<String> {
    let slice = world.slice(POD);
    let open = |peer| admission(&slice, 80, peer) == "open";
    let mut all = Vec::new();
    for (identity, name) in
        [(301, "a"), (302, "b"), (1, "host"), (6, "remote-node"), (7, "kube-apiserver")]
    {
        all.extend(open(Some(identity)).then(|| name.to_owned()));
    }
    for address in ["10.0.0.1", "10.1.0.1", "192.0.2.7", "203.0.113.1", "2001:db8::1"] {
        all.extend(open(world.recognise(POD, address)).then(|| address.to_owned()));
    }
    all.extend(open(None).then(|| "unknown".to_owned()));
    all
}

const WORLD: [&str; 5] = ["10.0.0.1", "10.1.0.1", "192.0.2.7", "203.0.113.1", "2001:db8::1"];
const NODES: [&str; 3] = ["host", "remote-node", "kube-apiserver"];

#[test]
fn entities_mean_whom_they_name_and_the_world_is_neither_pod_nor_node() {
    let all = [&["a", "b"][..], &NODES, &WORLD, &["unknown"]].concat();
    for (entities, expected) in [
        ("all", all),
        ("world", WORLD.to_vec()),
        ("world-ipv4", WORLD[..4].to_vec()),
        ("world-ipv6", vec!["2001:db8::1"]),
        ("cluster", [&["a", "b"][..], &NODES].concat()),
        ("host", vec!["host"]),
        ("remote-node", vec!["remote-node", "kube-apiserver"]),
        ("kube-apiserver", vec!["kube-apiserver"]),
        ("host, world-ipv6", vec!["host", "2001:db8::1"]),
        ("none", vec![]),
        ("health", vec![]),
    ] {
        let mut world = world(&format!("ingress: [{{fromEntities: [{entities}]}}]"));
        // The parts of the world that `world-ipv6` names.
        world = world.with_world(&[(406, "::/1"), (407, "8000::/1")]);
        assert_eq!(let_in(&world), expected, "{entities}");
    }
}

#[test]
fn entities_that_only_cilium_has_are_nobody_and_cannot_be_denied() {
    let reading = policy("endpointSelector: {}\ningress: [{fromEntities: [unmanaged]}]");
    assert_eq!(
        warnings(&reading),
        [
            "p.yaml:6: spec.ingress[0].fromEntities[0]: `unmanaged` is nobody here: only Cilium has such endpoints"
        ]
    );
    let reading = policy("endpointSelector: {}\ningressDeny: [{fromEntities: [unmanaged]}]");
    assert!(errors(&reading).contains("cannot be told from others here, so it cannot be denied"));
}

#[test]
fn reserved_labels_in_a_selector_are_entities() {
    for (selector, expected) in [
        ("{matchLabels: {'reserved:host': ''}}", vec!["host"]),
        ("{matchExpressions: [{key: 'reserved:world', operator: Exists}]}", WORLD.to_vec()),
        ("{matchLabels: {'reserved:init': ''}}", vec![]),
        // What is no pod is not meant by what a label is not.
        (
            "{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: NotIn, values: [x]}]}",
            vec!["a", "b"],
        ),
        (
            "{matchExpressions: [{key: io.cilium.k8s.namespace.labels.x, operator: DoesNotExist}]}",
            vec!["a", "b"],
        ),
        ("{}", vec!["a", "b"]),
    ] {
        let world = world(&format!("ingress: [{{fromEndpoints: [{selector}]}}]"));
        assert_eq!(let_in(&world), expected, "{selector}");
    }
}

#[test]
fn addresses_with_exceptions() {
    for (peers, expected) in [
        ("fromCIDR: [10.0.0.0/8]", vec!["10.0.0.1", "10.1.0.1"]),
        ("fromCIDR: [10.1.2.3/16]", vec!["10.1.0.1"]),
        ("fromCIDR: [192.0.2.7]", vec!["192.0.2.7"]),
        ("fromCIDR: [0.0.0.0/0]", WORLD[..4].to_vec()),
        ("fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]", vec!["10.0.0.1"]),
        (
            "fromCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}]",
            vec!["192.0.2.7", "203.0.113.1"],
        ),
        // What one entry excepts another may mean.
        (
            "fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidr: 10.1.0.0/16}]",
            vec!["10.0.0.1", "10.1.0.1"],
        ),
        ("fromCIDR: []", vec![]),
    ] {
        assert_eq!(let_in(&world(&format!("ingress: [{{{peers}}}]"))), expected, "{peers}");
    }
}

#[test]
fn groups_of_addresses_by_name_and_by_label() {
    let read = |text| Prefix::read(text).expect("a prefix");
    for (rule, expected) in [
        ("{cidrGroupRef: ten}", vec!["10.0.0.1", "10.1.0.1"]),
        ("{cidrGroupRef: ten, except: [10.1.0.0/16]}", vec!["10.0.0.1"]),
        ("{cidrGroupSelector: {matchLabels: {kind: test}}}", vec!["10.0.0.1", "10.1.0.1"]),
        ("{cidrGroupSelector: {matchLabels: {kind: other}}}", vec![]),
        ("{cidrGroupRef: eleven}", vec![]),
        ("{cidrGroupRef: unreadable}", vec![]),
    ] {
        let mut world = world(&format!("ingress: [{{fromCIDRSet: [{rule}]}}]"));
        let labels = Labels::of_object([("kind", "test")]);
        let group = CidrGroup { labels, prefixes: vec![read("10.0.0.0/8")] };
        world.catalog.groups =
            BTreeMap::from([("ten".into(), Some(group)), ("unreadable".into(), None)]);
        assert_eq!(let_in(&world), expected, "{rule}");
    }
}

#[test]
fn a_group_that_cannot_be_read_is_denied_with_everybody() {
    let mut world = world(
        "ingress: [{fromEntities: [all]}]\ningressDeny: [{fromCIDRSet: [{cidrGroupRef: g}]}]",
    );
    assert_eq!(
        let_in(&world).len(),
        10,
        "a group that is not there is nobody; {:?}",
        let_in(&world)
    );
    world.catalog.groups.insert("g".into(), None);
    assert!(let_in(&world).is_empty());
}

#[test]
fn deny_beats_allow_across_exact_ports_ranges_and_every_port() {
    let port = |port: &str| format!("{{toPorts: [{{ports: [{port}]}}]}}");
    let (exact, range) = ("{port: '80'}", "{port: '79', endPort: 81}");
    let every = "{port: '0'}";
    for allow in [exact, range, every] {
        for deny in [exact, range, every] {
            let spec = format!("ingress: [{}]\ningressDeny: [{}]", port(allow), port(deny));
            assert_eq!(admission(&world(&spec).slice(POD), 80, Some(301)), "denied", "{spec}");
            let alone = format!("ingress: [{}]", port(allow));
            assert_eq!(admission(&world(&alone).slice(POD), 80, Some(301)), "open", "{alone}");
        }
    }
    let spec = format!("ingress: [{}]\ningressDeny: [{}]", port(range), port("{port: '81'}"));
    let slice = world(&spec).slice(POD);
    let met = [78, 79, 80, 81, 82].map(|port| admission(&slice, port, Some(301)));
    assert_eq!(met, ["denied", "open", "open", "denied", "denied"]);
    let decision = memcache(&slice, 81, Some(301), "get a");
    assert_eq!(decision.rule.as_deref(), Some("shop/p ingressDeny[0].toPorts[0]"));
}

#[test]
fn who_is_unknown_might_be_whom_a_rule_denies() {
    for deny in ["{matchLabels: {role: a}}", "{matchLabels: {role: nobody-yet}}"] {
        let world = world(&format!(
            "ingress: [{{fromEntities: [all]}}]\ningressDeny: [{{fromEndpoints: [{deny}]}}]"
        ));
        assert_eq!(admission(&world.slice(POD), 80, None), "denied", "{deny}");
        assert_eq!(admission(&world.slice(POD), 80, Some(302)), "open", "{deny}");
        // So everybody has to be known who can be.
        assert!(world.encode(POD).identities.contains(&302), "{deny}");
    }
}

#[test]
fn a_deny_alone_denies_by_default_too_and_denies_nobody_without_peers_and_ports() {
    let world = world("ingressDeny: [{}]");
    assert_eq!(let_in(&world), Vec::<String>::new());
    let reading = policy("endpointSelector: {}\ningressDeny: [{}]");
    assert!(warnings(&reading)[0].contains("denies nobody"), "{reading:?}");
}

#[test]
fn default_deny_can_be_left_to_others() {
    let off = "enableDefaultDeny: {ingress: false, egress: false}\n";
    let deny = format!("{off}ingressDeny: [{{fromEndpoints: [{{matchLabels: {{role: a}}}}]}}]");
    let denied = world(&deny);
    assert!(!let_in(&denied).contains(&"a".to_owned()));
    assert!(
        let_in(&denied).contains(&"b".to_owned()) && let_in(&denied).contains(&"host".to_owned())
    );
    assert_eq!(let_in(&world(&format!("{off}ingress: [{{}}]"))).len(), 11);
    // Another policy that denies by default is not overruled.
    let mut both = world(&deny);
    both.set.insert(
        crate::common::readings(
            "q.yaml",
            &crate::common::document(
                "cilium.io/v2",
                "CiliumNetworkPolicy",
                "{name: q, namespace: shop}",
                "endpointSelector: {}\ningress: [{}]",
            ),
        )
        .pop()
        .expect("one"),
    );
    assert_eq!(let_in(&both), Vec::<String>::new());
    // Without a word about ingress, it can be asked for.
    assert_eq!(let_in(&world("enableDefaultDeny: {ingress: true}")), Vec::<String>::new());
    assert_eq!(let_in(&world("enableDefaultDeny: {egress: true}")).len(), 11);
}

#[test]
fn requests_are_looked_at_though_nothing_is_denied_by_default() {
    let world = world(
        "enableDefaultDeny: {ingress: false}
ingress:
- fromEndpoints: [{matchLabels: {role: a}}]
  toPorts: [{ports: [{port: '80'}], rules: {l7proto: memcache, l7: [{command: get}]}}]",
    );
    let slice = world.slice(POD);
    assert_eq!(admission(&slice, 80, Some(301)), "memcache");
    assert!(memcache(&slice, 80, Some(301), "get a").is_forwarded());
    assert!(!memcache(&slice, 80, Some(301), "set a").is_forwarded());
    assert_eq!(admission(&slice, 80, Some(302)), "open");
    assert_eq!(admission(&slice, 80, None), "denied", "it may be one whose requests are looked at");
    assert_eq!([79, 81].map(|port| admission(&slice, port, None)), ["open", "open"]);
}

#[test]
fn egress_is_decided_as_ingress_is() {
    let world = world(
        "egress:
- toEndpoints: [{matchLabels: {role: a}}]
  toPorts: [{ports: [{port: '11211'}], rules: {l7proto: memcache, l7: [{command: get}]}}]
- toCIDR: [10.0.0.0/8]
- toEntities: [host]
  toPorts: [{ports: [{port: '10250', protocol: TCP}, {port: '53', protocol: UDP}]}]
egressDeny:
- toCIDR: [10.1.0.0/16]",
    );
    let slice = world.slice(POD);
    assert_eq!(reach(&slice, 11211, Some(301)), "memcache");
    assert_eq!(reach(&slice, 11211, Some(302)), "denied");
    assert_eq!(reach(&slice, 443, world.recognise(POD, "10.0.0.1")), "open");
    assert_eq!(reach(&slice, 443, world.recognise(POD, "10.1.0.1")), "denied");
    assert_eq!(reach(&slice, 443, world.recognise(POD, "203.0.113.1")), "denied");
    assert_eq!([10250, 53].map(|port| reach(&slice, port, Some(1))), ["open", "denied"]);
    assert_eq!(admission(&slice, 11211, Some(302)), "open", "it says nothing of ingress");
    assert!(world.encode(POD).restricts_egress && !world.encode("app=other").restricts_egress);
}

#[test]
fn services_mean_their_backends() {
    let name = |name: &str| ("shop".to_owned(), name.to_owned());
    let selector = Some(BTreeMap::from([("role".to_owned(), "b".to_owned())]));
    let labels = Labels::of_object([("tier", "data")]);
    let pods = ServiceBackends { selector, labels, ..Default::default() };
    let address = "192.0.2.7".parse().expect("an address");
    let outside = ServiceBackends { addresses: [address].into(), ..Default::default() };
    for (service, expected) in [
        ("{k8sService: {serviceName: pods, namespace: shop}}", [false, true, false]),
        ("{k8sService: {serviceName: pods}}", [false, true, false]),
        ("{k8sService: {serviceName: pods, namespace: bar}}", [false, false, false]),
        ("{k8sService: {serviceName: outside, namespace: shop}}", [false, false, true]),
        ("{k8sServiceSelector: {selector: {matchLabels: {tier: data}}}}", [false, true, false]),
        (
            "{k8sServiceSelector: {selector: {matchLabels: {tier: web}}, namespace: shop}}",
            [false; 3],
        ),
    ] {
        let mut world = world(&format!("egress: [{{toServices: [{service}]}}]"));
        world.catalog.services = BTreeMap::from([
            (name("pods"), Some(pods.clone())),
            (name("outside"), Some(outside.clone())),
        ]);
        let peers = [Some(301), Some(302), world.recognise(POD, "192.0.2.7")];
        let slice = world.slice(POD);
        assert_eq!(peers.map(|peer| reach(&slice, 443, peer) == "open"), expected, "{service}");
    }
}

#[test]
fn named_ports_are_the_pods_own_or_those_of_each_peer() {
    let rule = "[{toPorts: [{ports: [{port: Web}]}]}]";
    let mut world = world(&format!("ingress: {rule}\negress: {rule}"));
    let named = |port| NamedPorts::of_pod([("web".to_owned(), port)]);
    world.ports = named(8080);
    let identity =
        |role: &str, port| remora_policy::Identity { labels: labels(role), ports: named(port) };
    world.identities.insert(301, identity("role=a", 81));
    world.identities.insert(302, identity("role=b", 82));
    let slice = world.slice(POD);
    assert_eq!([80, 8080].map(|port| admission(&slice, port, None)), ["denied", "open"]);
    assert_eq!([81, 82].map(|port| reach(&slice, port, Some(301))), ["open", "denied"]);
    assert_eq!([81, 82].map(|port| reach(&slice, port, Some(302))), ["denied", "open"]);
    world.ports = NamedPorts::default();
    assert_eq!(
        world.encode(POD).warnings,
        ["shop/p ingress[0].toPorts[0]: no container of the pod has a TCP port `web`"]
    );
}

#[test]
fn pods_that_call_different_ports_alike_are_allowed_what_all_and_denied_what_any_mean() {
    let pod =
        |ports: &[u16]| NamedPorts::of_pod(ports.iter().map(|port| ("web".to_owned(), *port)));
    let mut ports = pod(&[80, 81]);
    ports.merge(&pod(&[81, 82]));
    for (list, expected) in [
        ("egress: [{toPorts: [{ports: [{port: web}]}]}]", ["denied", "open", "denied", "denied"]),
        (
            "egress: [{toEntities: [all]}]\negressDeny: [{toPorts: [{ports: [{port: web}]}]}]",
            ["denied", "denied", "denied", "open"],
        ),
    ] {
        let mut world = world(list);
        let identity = remora_policy::Identity { labels: labels("role=a"), ports: ports.clone() };
        world.identities.insert(301, identity);
        let slice = world.slice(POD);
        assert_eq!([80, 81, 82, 83].map(|port| reach(&slice, port, Some(301))), expected, "{list}");
        assert_eq!(reach(&slice, 83, None), "denied", "{list}");
    }
}

#[test]
fn other_transports_allow_nothing_and_cannot_be_denied() {
    let reading = policy(
        "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: '80', protocol: UDP}]}]}]",
    );
    assert_eq!(
        warnings(&reading),
        [
            "p.yaml:6: spec.ingress[0].toPorts[0].ports[0].protocol: only TCP is intercepted, so UDP is not judged"
        ]
    );
    assert_eq!(admission(&World::new([reading]).slice(POD), 80, None), "denied");
    let reading = policy(
        "endpointSelector: {}\ningressDeny: [{toPorts: [{ports: [{port: '80', protocol: UDP}]}]}]",
    );
    assert!(errors(&reading).contains("cannot be denied; only TCP is intercepted"));
}
