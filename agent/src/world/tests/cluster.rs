//! The world as the API server tells it, object by object.

use remora_manifest::Node;
use remora_policy::{Inserted, PolicyKind, PolicyName};

use super::*;

const CNP: Kind = Kind::Policy(PolicyKind::CiliumNetworkPolicy);

fn object(yaml: &str) -> Object {
    let mut documents = read(yaml, Path::new("x")).into_iter();
    let node = documents.next().expect("a document").expect("readable");
    // As it comes from the API server: without places.
    Object::read(&Node::from_json(&node.to_json()), 0, Registry::BUILT_IN)
}

fn namespace(name: &str, labels: &str) -> Object {
    object(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}"
    ))
}

fn node(name: &str, ranges: &str, address: &str) -> Object {
    object(&format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDRs: [{ranges}]}}\n\
         status: {{addresses: [{{type: Hostname, address: {name}}}, {{type: InternalIP, address: {address}}}]}}"
    ))
}

/// A world with a namespace, a policy, a server and a client.
fn shop() -> World {
    let mut world = World::of_cluster(Registry::BUILT_IN, Vec::new());
    world.apply(Change::Replaced(Kind::Namespace, vec![namespace("shop", "")]));
    let pods = [pod("droid", "app: droid", "10.0.0.1"), pod("luke", "role: jedi", "10.0.0.2")];
    world.apply(Change::Replaced(Kind::Pod, pods.iter().map(|pod| object(pod)).collect()));
    world.apply(Change::Replaced(CNP, vec![object(POLICY)]));
    world.settle();
    world
}

fn slice(world: &World, name: &str) -> Arc<PodSlice> {
    Arc::clone(world.slice_for(&key(name)).expect("a slice"))
}

fn errors(world: &mut World) -> Vec<String> {
    let notices = world.settle().into_iter();
    notices.filter(|n| n.severity == Severity::Error).map(|n| n.text).collect()
}

fn policy_key(name: &str) -> Key {
    let name = PolicyName { namespace: Some("shop".to_owned()), name: name.to_owned() };
    Key::Policy(PolicyKind::CiliumNetworkPolicy, name)
}

#[test]
fn objects_one_by_one_give_the_world_that_all_at_once_give() {
    let mut one_by_one = World::of_cluster(Registry::BUILT_IN, Vec::new());
    let objects = [
        object(POLICY),
        object(&pod("droid", "app: droid", "10.0.0.1")),
        namespace("shop", ""),
        object(&pod("luke", "role: jedi", "10.0.0.2")),
        object(&pod("gone", "role: jedi", "10.0.0.7")),
    ];
    for object in objects {
        one_by_one.apply(Change::Applied(object));
        one_by_one.settle();
    }
    one_by_one.apply(Change::Deleted(Key::Pod(key("gone"))));
    one_by_one.settle();
    let (all, one) = (slice(&shop(), "droid"), slice(&one_by_one, "droid"));
    assert_eq!(addresses(&all), ["10.0.0.2"]);
    assert_eq!(reserved(&all), [0, 2]);
    assert_eq!(addresses(&one), addresses(&all));
    assert_eq!(one.policy.ingress_per_port_policies.len(), 1);
    assert_eq!(one.addresses.len(), 1);
}

#[test]
fn a_slice_is_made_anew_only_where_something_changed() {
    let mut world = shop();
    let (droid, luke) = (slice(&world, "droid"), slice(&world, "luke"));
    // Nobody's policy names this one.
    world.apply(Change::Applied(object(&pod("vader", "role: sith", "10.0.0.3"))));
    world.settle();
    assert!(Arc::ptr_eq(&slice(&world, "droid"), &droid));
    // Neither does it matter that the kubelet touches a status.
    world.apply(Change::Applied(object(&pod("vader", "role: sith", "10.0.0.3"))));
    assert!(!world.is_unsettled());
    // One more of those that the droid's policy names.
    world.apply(Change::Applied(object(&pod("leia", "role: jedi, sex: f", "10.0.0.4"))));
    world.settle();
    assert_eq!(addresses(&slice(&world, "droid")), ["10.0.0.2", "10.0.0.4"]);
    assert!(Arc::ptr_eq(&slice(&world, "luke"), &luke));
    // Another address of an identity that it names: the policy stays as it is.
    let before = slice(&world, "droid");
    world.apply(Change::Applied(object(&pod("luke", "role: jedi", "10.0.0.9"))));
    world.settle();
    let after = slice(&world, "droid");
    assert_eq!(addresses(&after), ["10.0.0.9", "10.0.0.4"]);
    assert_eq!(after.policy, before.policy);
}

#[test]
fn a_policy_that_goes_opens_what_it_closed_and_nothing_else() {
    let mut world = shop();
    let luke = slice(&world, "luke");
    world.apply(Change::Deleted(policy_key("droids")));
    world.settle();
    assert_eq!(named(&slice(&world, "droid")), [0_u64; 0]);
    assert!(peers(&slice(&world, "droid")).is_empty());
    assert!(Arc::ptr_eq(&slice(&world, "luke"), &luke));
}

#[test]
fn an_address_that_comes_back_is_never_in_two_identities() {
    let mut world = shop();
    let before = slice(&world, "droid").peers.clone();
    let reused = pod("han", "role: pilot", "10.0.0.2");
    world.apply(Change::Applied(object(&reused)));
    let notices = world.settle();
    let told = notices.iter().find(|notice| notice.text.contains("claimed by several pods"));
    assert_eq!(told.expect("told").severity, Severity::Warning);
    assert!(slice(&world, "droid").peers.is_empty(), "while both claim it, it is nobody's");
    assert_eq!(slice(&world, "han").addresses.values().copied().collect::<Vec<_>>(), [None]);
    world.apply(Change::Deleted(Key::Pod(key("luke"))));
    world.apply(Change::Applied(object(&reused.replace("pilot", "jedi"))));
    world.settle();
    let after = slice(&world, "droid").peers.clone();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let recognised = slice(&world, "han").addresses.clone();
    assert_eq!(
        recognised.values().flatten().collect::<Vec<_>>(),
        after.values().collect::<Vec<_>>()
    );
}

#[test]
fn who_is_of_the_cluster_comes_from_its_nodes() {
    let ranges = vec!["10.9.0.0/16".parse().expect("a range")];
    let mut world = World::of_cluster(Registry::BUILT_IN, ranges);
    world.apply(Change::Applied(namespace("shop", "")));
    world.apply(Change::Applied(object(&pod("droid", "", "10.244.0.1"))));
    world.apply(Change::Applied(node("n1", "10.244.0.0/24, 'fd00::/64'", "192.0.2.1")));
    world.settle();
    let hosts = slice(&world, "droid").hosts.clone();
    let expected = ["10.9.0.0/16", "10.244.0.0/24", "192.0.2.1/32", "fd00::/64"];
    assert_eq!(hosts[0].host_addresses, expected);
    assert_eq!(hosts[1].host_addresses, ["0.0.0.0/0", "::/0"]);
    world.apply(Change::Applied(node("n2", "10.244.1.0/24", "192.0.2.2")));
    world.settle();
    assert_eq!(slice(&world, "droid").hosts[0].host_addresses.len(), 6);
    world.apply(Change::Deleted(Key::Node("n1".to_owned())));
    world.settle();
    let expected = ["10.9.0.0/16", "10.244.1.0/24", "192.0.2.2/32"];
    assert_eq!(slice(&world, "droid").hosts[0].host_addresses, expected);
}

#[test]
fn nobody_is_recognised_by_an_address_of_a_node() {
    let mut world = shop();
    world.apply(Change::Applied(node("n1", "", "10.0.0.2")));
    assert_eq!(
        errors(&mut world),
        ["<value>: status.podIPs: 10.0.0.2 is a node's, so nobody is recognised as the pod by it"]
    );
    assert!(slice(&world, "droid").peers.is_empty());
}

#[test]
fn pods_of_a_namespace_that_is_not_known_are_closed_and_nobody() {
    let mut world = shop();
    world.apply(Change::Deleted(Key::Namespace("shop".to_owned())));
    world.settle();
    assert!(closed(&slice(&world, "droid")) && closed(&slice(&world, "luke")));
    assert!(slice(&world, "droid").peers.is_empty());
    world.apply(Change::Applied(namespace("shop", "team: rebels")));
    world.settle();
    assert!(!closed(&slice(&world, "luke")));
    assert_eq!(addresses(&slice(&world, "droid")), ["10.0.0.2"]);
}

#[test]
fn an_unreadable_namespace_that_never_was_good_opens_nothing() {
    let policy = POLICY.replace(
        "fromEndpoints: [{matchLabels: {role: jedi}}]",
        "fromEndpoints: [{matchExpressions: [{key: io.cilium.k8s.namespace.labels.evil, operator: DoesNotExist}]}]",
    );
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        (
            "luke.yaml",
            &pod("luke", "role: jedi", "10.0.0.2").replace("namespace: shop", "namespace: dark"),
        ),
        ("policy.yaml", &policy),
        (
            "dark.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: dark, labels: {evil: true}}",
        ),
    ]);
    assert_eq!(
        scene.errors(),
        [
            "dark.yaml:3: metadata.labels.evil: expected a string, found a boolean; put it in quotes: it is not known, and pods of it are closed and recognised by nobody"
        ]
    );
    assert!(!addresses(&scene.slice("droid")).contains(&"10.0.0.2"));
    let dark = PodKey { namespace: "dark".to_owned(), name: "luke".to_owned() };
    assert!(closed(scene.world.slice_for(&dark).expect("a slice")));
    scene.write("dark.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: dark}");
    assert_eq!(scene.errors(), [""; 0]);
    assert!(!closed(scene.world.slice_for(&dark).expect("a slice")));
}

#[test]
fn what_becomes_of_policies_is_told_with_whom_they_select() {
    let mut world = shop();
    let version = |generation| ObjectVersion { generation, ..ObjectVersion::default() };
    world.apply(Change::Applied(object(POLICY).at(version(1))));
    world.settle();
    let states = world.policy_states();
    assert_eq!((states[0].outcome, states[0].selected), (Inserted::InForce, 1));
    assert_eq!(states[0].version, Some(version(1)));
    world.apply(Change::Applied(object(&pod("r2", "app: droid", "10.0.0.5"))));
    let refused = POLICY.replace("cmd: READ", "comand: READ");
    world.apply(Change::Applied(object(&refused).at(version(2))));
    let errors = errors(&mut world);
    let start = "CiliumNetworkPolicy shop/droids: spec.ingress[0].toPorts[0].rules.l7[0].comand: ";
    assert!(errors[0].starts_with(start), "{errors:?}");
    let states = world.policy_states();
    assert_eq!((states[0].outcome, states[0].selected), (Inserted::KeptLastGood, 2));
    assert_eq!(states[0].version, Some(version(2)));
    assert_eq!(states[0].errors[0].field, "spec.ingress[0].toPorts[0].rules.l7[0].comand");
}

#[test]
fn a_kind_that_is_gone_keeps_its_policies_loudly() {
    let mut world = shop();
    let before = slice(&world, "droid");
    world.apply(Change::Served(PolicyKind::CiliumNetworkPolicy, Served::Gone));
    let errors = errors(&mut world);
    assert!(errors[0].contains("gone from the cluster: the 1 that are known stay"), "{errors:?}");
    assert!(Arc::ptr_eq(&slice(&world, "droid"), &before));
    // It comes back, without what it held.
    world.apply(Change::Served(PolicyKind::CiliumNetworkPolicy, Served::Whole));
    world.apply(Change::Replaced(CNP, Vec::new()));
    let notices = world.settle();
    let told =
        notices.iter().any(|n| n.text.contains("1 policies that it held before are withdrawn"));
    assert!(told, "{notices:?}");
    assert!(named(&slice(&world, "droid")).is_empty());
}

#[test]
fn a_kind_without_l7proto_keeps_the_last_good_policies_loudly() {
    let mut world = shop();
    let before = slice(&world, "droid");
    world.apply(Change::Served(PolicyKind::CiliumNetworkPolicy, Served::Cut { has_rules: false }));
    // What Cilium 1.20 may leave: every request is allowed.
    let cut = POLICY.replace("      rules: {l7proto: r2d2, l7: [{cmd: READ}]}\n", "");
    let other = cut.replace("name: droids", "name: others").replace("app: droid", "role: jedi");
    world.apply(Change::Replaced(CNP, vec![object(&cut), object(&other)]));
    let told = errors(&mut world);
    assert!(told.iter().any(|text| text.contains("stay in force as they last were")), "{told:?}");
    assert!(Arc::ptr_eq(&slice(&world, "droid"), &before));
    assert!(closed(&slice(&world, "luke")), "nothing good is known of this one");
    // Whole again: what is written counts.
    world.apply(Change::Served(PolicyKind::CiliumNetworkPolicy, Served::Whole));
    world.apply(Change::Replaced(CNP, vec![object(&cut), object(&other)]));
    assert_eq!(errors(&mut world), [""; 0]);
    assert!(!closed(&slice(&world, "luke")));
    assert!(slice(&world, "droid").policy != before.policy);
}

#[test]
fn without_l7proto_an_emptied_rule_is_refused_and_an_l4_policy_is_read() {
    let mut world = shop();
    world.apply(Change::Served(PolicyKind::CiliumNetworkPolicy, Served::Cut { has_rules: true }));
    let emptied = POLICY.replace("{l7proto: r2d2, l7: [{cmd: READ}]}", "{}");
    let l4 = POLICY
        .replace("      rules: {l7proto: r2d2, l7: [{cmd: READ}]}\n", "")
        .replace("name: droids", "name: l4")
        .replace("app: droid", "role: jedi");
    let before = slice(&world, "droid");
    world.apply(Change::Applied(object(&emptied)));
    world.apply(Change::Applied(object(&l4)));
    world.settle();
    assert!(Arc::ptr_eq(&slice(&world, "droid"), &before));
    assert!(!closed(&slice(&world, "luke")) && named(&slice(&world, "luke")).len() == 1);
}

#[test]
fn namespaces_that_need_the_bundle_are_those_with_the_label_or_a_marked_pod() {
    let mut world = shop();
    world.apply(Change::Applied(namespace("labelled", "remora.dev/inject: enabled")));
    let marked = pod("p", "", "10.0.0.8")
        .replace("labels:", "annotations: {remora.dev/status: '{}'}, labels:");
    world.apply(Change::Applied(object(&marked)));
    world.settle();
    let names: Vec<_> = world.bundle_namespaces().into_iter().collect();
    assert_eq!(names, ["labelled", "shop"]);
    // And that of the nodes' proxies, whatever is in it.
    let names = shop().with_bundle_in("remora").bundle_namespaces();
    assert!(names.contains("remora"), "{names:?}");
}

#[test]
fn a_pod_of_its_nodes_is_told_of_from_its_first_address_to_its_end() {
    let mut world = shop();
    let own = |address: &str, more: &str| {
        let pod = pod("cache", "app: cache", address).replace("spec: {", "spec: {nodeName: n1, ");
        object(&pod.replace("status: {", &format!("status: {{{more}")))
    };
    let ips = |world: &World| {
        let on_node = world.slice_for(&key("cache")).and_then(|slice| slice.on_node.clone());
        let variables = on_node.into_iter().flat_map(|own| own.endpoint.variables.clone());
        variables.filter(|own| own.name == "REMORA_POD_IPS").map(|own| own.value).next()
    };
    let mut told = Vec::new();
    world.apply(Change::Applied(object(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: cache, namespace: shop, uid: uid-cache, labels: {app: cache}}\n\
         spec: {nodeName: n1, initContainers: [{name: remora}]}",
    )));
    for change in [
        None,
        Some(own("10.0.0.9", "")),
        Some(own("10.0.0.10", "")),
        Some(own("10.0.0.10", "phase: Succeeded, ")),
    ] {
        change.into_iter().for_each(|object| world.apply(Change::Applied(object)));
        world.settle();
        told.push(ips(&world));
    }
    let address = |text: &str| Some(text.to_owned());
    assert_eq!(told, [None, address("10.0.0.9"), address("10.0.0.10"), None]);
}

fn closed(slice: &PodSlice) -> bool {
    use remora_api::cilium::port_network_policy_rule::Verdict;
    let denies = |rule: &remora_api::cilium::PortNetworkPolicyRule| {
        rule.verdict == Some(Verdict::Deny(true))
    };
    slice.policy.ingress_per_port_policies.iter().all(|port| port.rules.iter().any(denies))
}
