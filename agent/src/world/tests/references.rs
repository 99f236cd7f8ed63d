//! What policies name that is no pod: parts of the world, nodes, the API
//! server, groups of addresses, services, and names of ports.

use remora_api::services::Service;

use super::*;

fn object(yaml: &str) -> Object {
    let mut documents = read(yaml, Path::new("x")).into_iter();
    Object::read(&documents.next().expect("a document").expect("readable"), 0, Registry::BUILT_IN)
}

fn policy(spec: &str) -> Object {
    object(&format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\n\
         spec:\n  endpointSelector: {{matchLabels: {{app: droid}}}}\n{spec}"
    ))
}

/// A droid on node n1, luke, and a world of their own ranges.
fn world(spec: &str) -> World {
    let ranges = vec!["10.0.0.0/16".parse().expect("a range")];
    let mut world = World::of_cluster(Registry::BUILT_IN, ranges);
    for yaml in [
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}".to_owned(),
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{address: 192.0.2.1}]}".to_owned(),
        "apiVersion: v1\nkind: Node\nmetadata: {name: n2}\nstatus: {addresses: [{address: 192.0.2.2}]}".to_owned(),
        pod("droid", "app: droid", "10.0.0.1").replace("spec: {", "spec: {nodeName: n1, "),
        pod("luke", "role: jedi", "10.0.0.2"),
        pod("stray", "role: stray", "172.20.0.3"),
    ] {
        world.apply(Change::Applied(object(&yaml)));
    }
    world.apply(Change::Applied(policy(spec)));
    world.settle();
    world
}

/// By which labels the droid's sidecar knows an address: those of its identity.
fn whose(world: &World, address: &str) -> String {
    let slice = world.slice_for(&key("droid")).expect("a slice");
    let hosts = remora_policy::Hosts::compile(&slice.hosts).expect("hosts");
    let Some(identity) = hosts.lookup(address.parse().expect("an address")) else {
        return "unknown".to_owned();
    };
    let known = world.people.known().get(&identity).map(|own| own.labels.to_string());
    known.unwrap_or_else(|| identity.to_string())
}

/// Whether the droid may be called by, or may call, an address at port 80.
fn passes(world: &World, address: &str, direction: remora_policy::TrafficDirection) -> bool {
    let slice = world.slice_for(&key("droid")).expect("a slice");
    let hosts = remora_policy::Hosts::compile(&slice.hosts).expect("hosts");
    let peer = hosts.lookup(address.parse().expect("an address"));
    let compiled =
        remora_policy::Slice::compile(&slice.policy, Registry::BUILT_IN).expect("a slice");
    matches!(compiled.connection(direction, 80, peer), remora_policy::Admission::Opaque(_))
}

const INGRESS: remora_policy::TrafficDirection = remora_policy::TrafficDirection::Ingress;
const EGRESS: remora_policy::TrafficDirection = remora_policy::TrafficDirection::Egress;

#[test]
fn the_world_is_neither_pods_nor_nodes_nor_services() {
    let mut world = world("  ingress: [{fromEntities: [world]}]");
    world.apply(Change::Applied(object(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec: {clusterIP: 172.30.0.9}",
    )));
    world.settle();
    for (address, expected) in [
        ("203.0.113.7", true),
        ("2001:db8::1", true),
        ("10.0.0.2", false),
        ("10.0.0.77", false),
        ("192.0.2.1", false),
        // A pod and a service that no range holds.
        ("172.20.0.3", false),
        ("172.30.0.9", false),
        ("172.20.0.4", true),
    ] {
        assert_eq!(passes(&world, address, INGRESS), expected, "{address}");
    }
}

#[test]
fn addresses_are_told_apart_and_never_mean_the_cluster() {
    let spec = "  ingress: [{fromCIDRSet: [{cidr: 203.0.0.0/8, except: [203.0.113.0/24]}, {cidr: 10.0.0.0/24}, {cidr: 192.0.2.1/32}, {cidr: 10.0.0.0/8}]}]";
    let world = world(spec);
    for (address, expected) in [
        ("203.0.1.1", true),
        ("203.0.113.7", false),
        ("10.9.0.1", true),
        ("10.0.0.2", false),
        ("10.0.0.77", false),
        ("192.0.2.1", false),
    ] {
        assert_eq!(passes(&world, address, INGRESS), expected, "{address}");
    }
    assert_eq!(whose(&world, "203.0.113.7"), "cidr:203.0.113.0/24=,reserved:world=");
}

#[test]
fn nodes_are_told_apart_by_where_the_pod_is() {
    let mut world = world("  ingress: [{fromEntities: [host]}]");
    let met = |world: &World| ["192.0.2.1", "192.0.2.2"].map(|node| passes(world, node, INGRESS));
    assert_eq!(met(&world), [true, false]);
    let moved = pod("droid", "app: droid", "10.0.0.1").replace("spec: {", "spec: {nodeName: n2, ");
    world.apply(Change::Applied(object(&moved)));
    world.settle();
    assert_eq!(met(&world), [false, true]);
    world.apply(Change::Applied(policy("  ingress: [{fromEntities: [remote-node]}]")));
    world.settle();
    assert_eq!(met(&world), [true, false]);
}

#[test]
fn the_api_server_is_a_node_or_a_part_of_the_world() {
    let mut world = world("  egress: [{toEntities: [kube-apiserver]}]");
    let at = |addresses: &str| {
        object(&format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
             metadata: {{name: kubernetes, namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}\n\
             endpoints: [{{addresses: [{addresses}]}}]\nports: [{{name: https, port: 6443}}]"
        ))
    };
    let met = |world: &World| {
        ["192.0.2.1", "192.0.2.2", "203.0.113.9"].map(|address| passes(world, address, EGRESS))
    };
    assert_eq!(met(&world), [false; 3]);
    world.apply(Change::Applied(at("192.0.2.2")));
    world.settle();
    assert_eq!(met(&world), [false, true, false]);
    world.apply(Change::Applied(at("203.0.113.9")));
    world.settle();
    assert_eq!(met(&world), [false, false, true]);
}

#[test]
fn a_group_of_addresses_is_followed() {
    let mut world = world("  ingress: [{fromCIDRSet: [{cidrGroupRef: partners}]}]");
    let group = |cidrs: &str| {
        object(&format!(
            "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {{name: partners}}\nspec: {{externalCIDRs: [{cidrs}]}}"
        ))
    };
    let met = |world: &World| {
        ["203.0.113.9", "198.51.100.9"].map(|address| passes(world, address, INGRESS))
    };
    assert_eq!(met(&world), [false, false]);
    for (cidrs, expected) in [
        ("203.0.113.0/24", [true, false]),
        ("198.51.100.0/24", [false, true]),
        // What cannot be read leaves what was.
        ("x", [false, true]),
    ] {
        world.apply(Change::Applied(group(cidrs)));
        world.settle();
        assert_eq!(met(&world), expected, "{cidrs}");
    }
    world.apply(Change::Deleted(Key::CidrGroup("partners".to_owned())));
    world.settle();
    assert_eq!(met(&world), [false, false]);
}

fn service(name: &str, selector: &str, address: &str) -> [Object; 2] {
    let own = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{clusterIP: {address}, {selector} ports: [{{name: http, port: 80, targetPort: 8080, nodePort: 30080}}, {{port: 53, protocol: UDP}}]}}"
    );
    let slice = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: {name}-x, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         endpoints: [{{addresses: [10.0.0.2], conditions: {{ready: true}}}}, {{addresses: [10.0.0.9], conditions: {{ready: false}}}}]\n\
         ports: [{{name: http, port: 8080}}]"
    );
    [object(&own), object(&slice)]
}

fn services(world: &World) -> Vec<Service> {
    world.slice_for(&key("droid")).expect("a slice").services.to_vec()
}

#[test]
fn a_pod_hears_of_the_services_that_it_might_call() {
    let mut world = world("  egress: [{toEndpoints: [{matchLabels: {role: jedi}}]}]");
    for object in service("jedi", "selector: {role: jedi},", "10.96.0.7") {
        world.apply(Change::Applied(object));
    }
    world.settle();
    let [jedi] = services(&world).try_into().expect("one");
    assert_eq!(
        (jedi.name.as_str(), jedi.addresses.as_slice()),
        ("jedi", &["10.96.0.7".to_owned()][..])
    );
    let [port] = jedi.ports.as_slice() else { panic!("one port of TCP: {jedi:?}") };
    assert_eq!(port.port, 80);
    let backends: Vec<_> =
        port.backends.iter().map(|own| (own.address.as_str(), own.port)).collect();
    assert_eq!(backends, [("10.0.0.2", 8080)], "who is not ready is not dialled");
    // Whom no rule names is no business of the pod's.
    world
        .apply(Change::Applied(policy("  egress: [{toEndpoints: [{matchLabels: {role: sith}}]}]")));
    world.settle();
    assert!(services(&world).is_empty());
    // Neither are services of one whose egress is not restricted.
    world.apply(Change::Applied(policy("  ingress: [{}]")));
    world.settle();
    assert!(services(&world).is_empty());
    // At a node, a port may lead to anybody.
    world.apply(Change::Applied(policy("  egress: [{toEntities: [host, cluster]}]")));
    world.settle();
    let told: Vec<_> =
        services(&world).into_iter().map(|own| (own.addresses, own.ports[0].port)).collect();
    assert_eq!(
        told,
        [
            (vec!["10.96.0.7".to_owned()], 80),
            (vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()], 30080),
        ]
    );
}

#[test]
fn rules_for_services_mean_who_stands_behind_them() {
    let mut world =
        world("  egress: [{toServices: [{k8sService: {serviceName: s, namespace: shop}}]}]");
    let met =
        |world: &World| ["10.0.0.2", "203.0.113.9"].map(|address| passes(world, address, EGRESS));
    assert_eq!(met(&world), [false, false]);
    for object in service("s", "selector: {role: jedi},", "10.96.0.7") {
        world.apply(Change::Applied(object));
    }
    world.settle();
    assert_eq!(met(&world), [true, false]);
    let [_, slice] = service("s", "", "10.96.0.7");
    let [own, _] = service("s", "", "10.96.0.7");
    world.apply(Change::Applied(own));
    world.apply(Change::Applied(slice));
    world.settle();
    assert_eq!(
        met(&world),
        [false, false],
        "without a selector, addresses of the cluster are nobody's"
    );
}

#[test]
fn names_of_ports_are_those_of_the_pods_containers() {
    let mut world = world("  ingress: [{toPorts: [{ports: [{port: web}]}]}]");
    assert!(!passes(&world, "203.0.113.9", INGRESS));
    let named = pod("droid", "app: droid", "10.0.0.1")
        .replace("spec: {", "spec: {containers: [{ports: [{name: web, containerPort: 80}, {name: udp, containerPort: 53, protocol: UDP}]}], ");
    world.apply(Change::Applied(object(&named)));
    world.settle();
    assert!(passes(&world, "203.0.113.9", INGRESS));
}
