//! What an app may reach, over both IP families. The servers have no sidecars:
//! whatever is denied is denied where it begins.

use std::net::{SocketAddr, UdpSocket};

use remora_netns::Pod;
use serde_json::json;

use crate::stage::{
    Answer, MEMCACHED, PATIENCE, Stage, ask, denied, eventually, exchange, miss, stat,
};

/// `caller` may connect to `open`, and send `get pub:…` to `half`.
pub(crate) const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: caller}
spec:
  endpointSelector: {matchLabels: {app: caller}}
  egress:
  - toEndpoints:
    - matchLabels: {app: open}
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
  - toEndpoints:
    - matchLabels: {app: half}
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
      rules:
        l7proto: memcache
        l7:
        - command: get
          keyPrefix: "pub:"
"#;

pub(crate) fn addresses(server: &Pod) -> [SocketAddr; 2] {
    [(server.ipv4(), MEMCACHED).into(), (server.ipv6(), MEMCACHED).into()]
}

#[test]
fn what_goes_out_is_judged_over_both_families() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let (open, shut) = (stage.server("open"), stage.server("shut"));
    let caller = stage.caller(|_| {});
    let before = stat(&shut, "total_connections");
    for (open, shut) in addresses(&open).into_iter().zip(addresses(&shut)) {
        assert_eq!(ask(&caller, open, "get a\r\n"), miss(), "{open}");
        assert_eq!(ask(&caller, shut, "get a\r\n"), Answer::Reset, "{shut}");
        // Nor is another port of the server that it may reach.
        assert_eq!(ask(&caller, (open.ip(), 22).into(), "x"), Answer::Reset);
    }
    assert_eq!(stat(&shut, "total_connections") - before, 1, "the counting itself is one");
    let entries = || stage.access_entries(&caller);
    // Records are written beside the traffic, not before it.
    let dropped = || entries().iter().filter(|entry| entry["verdict"] == "DROPPED").count();
    eventually("each is logged", || dropped() >= 4);
    assert_eq!(dropped(), 4, "{:?}", entries());
    assert!(entries().iter().all(|entry| entry["direction"] == "egress"), "{:?}", entries());
}

#[test]
fn requests_that_go_out_are_judged_and_an_edit_reaches_open_connections() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let half = stage.server("half");
    let caller = stage.caller(|_| {});
    for address in addresses(&half) {
        let mut stream = caller.connect(address).expect("connected");
        assert_eq!(exchange(&mut stream, "get pub:a\r\n"), miss(), "{address}");
        assert_eq!(exchange(&mut stream, "get sec:a\r\n"), denied());
        assert_eq!(exchange(&mut stream, "get pub:b\r\n"), miss(), "the connection lives on");
    }
    let mut stream = caller.connect(addresses(&half)[0]).expect("connected");
    stage.write_policy("caller.yaml", &POLICY.replace("pub:", "other:"));
    eventually("the edit", || exchange(&mut stream, "get pub:a\r\n") == denied());
    assert_eq!(exchange(&mut stream, "get other:a\r\n"), miss());
}

#[test]
fn a_live_connection_that_is_not_allowed_any_more_is_reset() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let open = stage.server("open");
    let caller = stage.caller(|_| {});
    for address in addresses(&open) {
        let mut stream = caller.connect(address).expect("connected");
        assert_eq!(exchange(&mut stream, "get a\r\n"), miss());
        stage.write_policy("caller.yaml", &POLICY.replace("app: open", "app: other"));
        eventually("the reset", || exchange(&mut stream, "get a\r\n") == Answer::Reset);
        stage.write_policy("caller.yaml", POLICY);
        eventually("the edit", || ask(&caller, address, "get a\r\n") == miss());
    }
}

#[test]
fn without_an_egress_policy_a_pod_reaches_everybody() {
    let stage = Stage::set();
    let server = stage.server("shut");
    let caller = stage.caller(|_| {});
    for address in addresses(&server) {
        assert_eq!(
            ask(&caller, address, "set a 0 0 1\r\nx\r\n"),
            Answer::Text("STORED\r\n".into())
        );
    }
    // One that is about what comes in says nothing of what goes out.
    let ingress = POLICY.replace("egress:", "ingress:").replace("toEndpoints", "fromEndpoints");
    stage.write_policy("caller.yaml", &ingress);
    eventually("it is in force", || {
        ask(&server, (caller.ipv4(), 80).into(), "x") == Answer::Reset
            && stage.access_log(&caller).contains("no ingress rule opens port 80")
    });
    assert_eq!(ask(&caller, addresses(&server)[0], "get b\r\n"), miss());
}

/// Threats row 103, for what goes out.
#[test]
fn without_its_sidecar_nothing_leaves_the_pod() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let (open, shut) = (stage.server("open"), stage.server("shut"));
    let caller = stage.caller(|_| {});
    let mut stream = caller.connect(addresses(&open)[0]).expect("connected");
    assert_eq!(exchange(&mut stream, "get a\r\n"), miss());
    let before = stat(&shut, "total_connections");
    stage.kill_proxy(&caller);
    let answer = exchange(&mut stream, "get a\r\n");
    assert!(matches!(answer, Answer::Reset | Answer::Closed), "{answer:?}");
    eventually("it serves again", || {
        let answer = ask(&caller, addresses(&shut)[0], "get a\r\n");
        assert!(matches!(answer, Answer::Reset | Answer::Closed | Answer::Refused), "{answer:?}");
        ask(&caller, addresses(&open)[0], "get a\r\n") == miss()
    });
    stage.await_proxy(&caller);
    assert_eq!(stat(&shut, "total_connections") - before, 1, "the counting itself is one");
}

#[test]
fn what_is_skipped_is_not_judged_and_nothing_else() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let shut = stage.server("shut");
    for (annotation, value, reached) in [
        ("skip-outbound-ports", "11000-11300".to_owned(), [true, true]),
        ("skip-outbound-ports", "11210,11212-11300".to_owned(), [false, false]),
        ("skip-outbound-cidrs", shut.ipv4().to_string(), [true, false]),
        ("skip-outbound-cidrs", format!("10.99.0.0/16,{}/128", shut.ipv6()), [false, true]),
    ] {
        let annotation = format!("remora.dev/{annotation}");
        let caller = stage.caller(|pod| {
            pod["metadata"]["annotations"] = json!({(annotation.clone()): value.clone()});
        });
        for (address, reached) in addresses(&shut).into_iter().zip(reached) {
            let expected = if reached { miss() } else { Answer::Reset };
            assert_eq!(ask(&caller, address, "get a\r\n"), expected, "{annotation}: {value}");
        }
    }
}

#[test]
fn udp_goes_on_as_before() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let shut = stage.server("shut");
    let caller = stage.caller(|_| {});
    for [to, from] in [
        [shut.ipv4().into(), caller.ipv4().into()],
        [std::net::IpAddr::from(shut.ipv6()), caller.ipv6().into()],
    ] {
        let bind = |pod: &Pod, ip| {
            let bound = pod.enter_network(|| UdpSocket::bind((ip, 0)));
            let socket = bound.expect("entered").expect("bound");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket
        };
        let (server, client) = (bind(&shut, to), bind(&caller, from));
        let mut buffer = [0; 16];
        client.send_to(b"question", server.local_addr().expect("bound")).expect("sent");
        let (n, peer) = server.recv_from(&mut buffer).expect("received");
        assert_eq!((&buffer[..n], peer), (&b"question"[..], client.local_addr().expect("bound")));
        server.send_to(b"answer", peer).expect("sent");
        let (n, _) = client.recv_from(&mut buffer).expect("received");
        assert_eq!(&buffer[..n], b"answer");
    }
}

crate::node_mode::in_node_mode! {
    what_goes_out_is_judged_over_both_families,
    requests_that_go_out_are_judged_and_an_edit_reaches_open_connections,
    a_live_connection_that_is_not_allowed_any_more_is_reset,
    without_an_egress_policy_a_pod_reaches_everybody,
    without_its_sidecar_nothing_leaves_the_pod,
    what_is_skipped_is_not_judged_and_nothing_else,
    udp_goes_on_as_before,
}
