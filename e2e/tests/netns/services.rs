//! What an app reaches by a service's address, which nobody here translates but
//! its sidecar. The agent reads Services and EndpointSlices from its directory.

use std::net::{IpAddr, SocketAddr};

use remora_netns::Pod;
use serde_json::{Value, json};

use crate::egress::POLICY;
use crate::stage::{Answer, MEMCACHED, Stage, ask, eventually, miss, stat};

/// The service's own port is not its backends', and no rule is about it.
const ADDRESSES: [&str; 2] = ["10.96.0.10:80", "[fd96::10]:80"];

fn addresses() -> [SocketAddr; 2] {
    ADDRESSES.map(|address| address.parse().expect("an address"))
}

/// Tells of a service with these backends, in both families.
fn write_service(stage: &Stage, spec: &Value, backends: &[&Pod]) {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "cart", "namespace": "default"},
        "spec": {
            "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd96::10"],
            "selector": {"app": "open"},
            "ports": [{"port": 80, "targetPort": "cache", "protocol": "TCP"}],
        },
    });
    let given = service["spec"].as_object_mut().expect("a map");
    given.extend(spec.as_object().expect("a map").clone());
    let slice = |family: &str, endpoints: Vec<IpAddr>| {
        let endpoint = |ip| json!({"addresses": [ip], "conditions": {"ready": true}});
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("cart-{}", family.to_lowercase()), "namespace": "default",
                "labels": {"kubernetes.io/service-name": "cart"},
            },
            "addressType": family,
            "endpoints": endpoints.into_iter().map(endpoint).collect::<Vec<_>>(),
            "ports": [{"port": MEMCACHED, "protocol": "TCP"}],
        })
    };
    let v4 = backends.iter().map(|pod| pod.ipv4().into()).collect();
    let v6 = backends.iter().map(|pod| pod.ipv6().into()).collect();
    let list = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [service, slice("IPv4", v4), slice("IPv6", v6)],
    });
    stage.write_policy("cart.json", &list.to_string());
}

/// How many of so many connections each backend got.
fn shares(caller: &Pod, address: SocketAddr, backends: [&Pod; 2]) -> [u64; 2] {
    const CONNECTIONS: u64 = 32;
    let count = || backends.map(|pod| stat(pod, "total_connections"));
    let before = count();
    for _ in 0..CONNECTIONS {
        assert_eq!(ask(caller, address, "get a\r\n"), miss(), "{address}");
    }
    let after = count();
    // The counting itself is one.
    let shares = [after[0] - before[0] - 1, after[1] - before[1] - 1];
    assert_eq!(shares[0] + shares[1], CONNECTIONS, "{shares:?}");
    shares
}

#[test]
fn only_backends_that_are_allowed_are_reached_by_a_service() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let (open, shut) = (stage.server("open"), stage.server("shut"));
    write_service(&stage, &json!({}), &[&open, &shut]);
    let caller = stage.caller(|_| {});
    for address in addresses() {
        eventually("it is reached", || ask(&caller, address, "get a\r\n") == miss());
        assert_eq!(shares(&caller, address, [&open, &shut])[1], 0, "{address}");
    }
    // Another port of the service's has nobody behind it.
    assert_eq!(ask(&caller, "10.96.0.10:81".parse().expect("it"), "get a\r\n"), Answer::Reset);

    // A live connection obeys the policy that is about its backend.
    let mut stream = caller.connect(addresses()[0]).expect("connected");
    assert_eq!(crate::stage::exchange(&mut stream, "get a\r\n"), miss());
    stage.write_policy("caller.yaml", &POLICY.replace("app: open", "app: nobody"));
    eventually("it is cut", || crate::stage::exchange(&mut stream, "get a\r\n") == Answer::Reset);
    for address in addresses() {
        assert_eq!(ask(&caller, address, "get a\r\n"), Answer::Reset);
    }
}

#[test]
fn backends_share_and_a_client_keeps_its_own_where_it_is_to() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let (one, other) = (stage.server_of("one", "open"), stage.server_of("other", "open"));
    write_service(&stage, &json!({}), &[&one, &other]);
    let caller = stage.caller(|_| {});
    for address in addresses() {
        eventually("it is reached", || ask(&caller, address, "get a\r\n") == miss());
        let shares = shares(&caller, address, [&one, &other]);
        assert!(shares[0] > 0 && shares[1] > 0, "{shares:?}");
    }
    write_service(&stage, &json!({"sessionAffinity": "ClientIP"}), &[&one, &other]);
    let address = addresses()[0];
    let mut kept = [0, 0];
    eventually("it keeps its backend", || {
        kept = shares(&caller, address, [&one, &other]);
        kept.contains(&0)
    });
    // Its backend gone, it keeps to the other.
    let left = if kept[0] == 0 { &one } else { &other };
    write_service(&stage, &json!({"sessionAffinity": "ClientIP"}), &[left]);
    let moved = if kept[0] == 0 { 0 } else { 1 };
    eventually("it has moved", || {
        let shares = shares(&caller, address, [&one, &other]);
        shares[moved] > 0 && shares[1 - moved] == 0
    });
}

/// `toServices`, and a port by its name.
#[test]
fn services_and_ports_may_be_named() {
    let stage = Stage::set();
    let (behind, beside) = (stage.server("behind"), stage.server("beside"));
    write_service(&stage, &json!({"selector": {"app": "behind"}}), &[&behind]);
    stage.write_policy(
        "caller.yaml",
        r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: caller}
spec:
  endpointSelector: {matchLabels: {app: caller}}
  egress:
  - toServices:
    - k8sService: {serviceName: cart, namespace: default}
"#,
    );
    let caller = stage.caller(|_| {});
    for address in addresses() {
        eventually("it is reached", || ask(&caller, address, "get a\r\n") == miss());
    }
    for ip in [behind.ipv4().into(), behind.ipv6().into()] {
        assert_eq!(ask(&caller, SocketAddr::new(ip, MEMCACHED), "get a\r\n"), miss(), "headless");
    }
    for ip in [beside.ipv4().into(), beside.ipv6().into()] {
        assert_eq!(ask(&caller, SocketAddr::new(ip, MEMCACHED), "get a\r\n"), Answer::Reset);
    }

    let by_name = POLICY.replace("app: open", "app: beside").replacen("\"11211\"", "cache", 1);
    stage.write_policy("caller.yaml", &by_name);
    let address = SocketAddr::from((beside.ipv4(), MEMCACHED));
    eventually("by its port's name", || ask(&caller, address, "get a\r\n") == miss());
    assert_eq!(ask(&caller, addresses()[1], "get a\r\n"), Answer::Reset);
    stage.write_policy("caller.yaml", &by_name.replacen("port: cache", "port: other", 1));
    eventually("not by another", || ask(&caller, address, "get a\r\n") == Answer::Reset);
}

/// Threats row 101: by its own service a pod comes to itself, not to its proxy
/// again and again.
#[test]
fn a_pod_reaches_itself_by_its_own_service() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", &POLICY.replace("app: caller", "app: cache"));
    let cache = stage.cache(&[]);
    write_service(&stage, &json!({"selector": {"app": "cache"}}), &[&cache]);
    let itself = POLICY.replace("app: caller", "app: cache").replace("app: open", "app: cache");
    for address in addresses() {
        assert_eq!(ask(&cache, address, "get a\r\n"), Answer::Reset, "no rule allows it");
    }
    stage.write_policy("caller.yaml", &itself);
    for address in addresses() {
        eventually("it is reached", || ask(&cache, address, "get a\r\n") == miss());
    }
    stage.assert_no_restart(&cache);
}

crate::node_mode::in_node_mode! {
    only_backends_that_are_allowed_are_reached_by_a_service,
    backends_share_and_a_client_keeps_its_own_where_it_is_to,
    services_and_ports_may_be_named,
    a_pod_reaches_itself_by_its_own_service,
}
