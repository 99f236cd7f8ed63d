//! What an app reaches outside the cluster: networks, and the world as such.

use std::net::{IpAddr, SocketAddr};

use remora_netns::Pod;

use crate::egress::addresses;
use crate::stage::{Answer, MEMCACHED, Stage, ask, eventually, miss};

/// Addresses that are kept for examples.
const NEAR: [&str; 2] = ["203.0.113.7", "2001:db8:1::7"];
const EXCEPTED: [&str; 2] = ["203.0.113.8", "2001:db8:1::8"];
const FAR: [&str; 2] = ["198.51.100.7", "2001:db8:2::7"];

const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: caller}
spec:
  endpointSelector: {matchLabels: {app: caller}}
  egress:
  - toCIDRSet:
    - cidr: 203.0.113.0/24
      except: [203.0.113.8/32]
    - cidr: 2001:db8:1::/48
      except: [2001:db8:1::8/128]
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
"#;

/// Gives the server further addresses, and the caller a way to them.
fn moves_out(server: &Pod, caller: &Pod) {
    for [v4, v6] in [NEAR, EXCEPTED, FAR] {
        for (ip, bits, way) in
            [(v4, 32, IpAddr::from(server.ipv4())), (v6, 128, server.ipv6().into())]
        {
            let address = format!("ip address add {ip}/{bits} dev eth0");
            let route = format!("ip route add {ip}/{bits} via {way}");
            for (pod, command) in [(server, address), (caller, route)] {
                let argv: Vec<&str> = command.split(' ').collect();
                let output = pod.netns_exec(&argv).expect("it runs");
                assert_eq!(output.code, 0, "{command}: {}", output.stderr);
            }
        }
    }
}

fn reaches(caller: &Pod, ips: [&str; 2]) -> [Answer; 2] {
    ips.map(|ip| {
        let address = SocketAddr::new(ip.parse().expect("an address"), MEMCACHED);
        ask(caller, address, "get a\r\n")
    })
}

#[test]
fn networks_are_reached_but_for_their_exceptions() {
    let stage = Stage::set();
    stage.write_policy("caller.yaml", POLICY);
    let server = stage.server("server");
    let caller = stage.caller(|_| {});
    moves_out(&server, &caller);
    assert_eq!(reaches(&caller, NEAR), [miss(), miss()]);
    for ips in [EXCEPTED, FAR] {
        assert_eq!(reaches(&caller, ips), [Answer::Reset, Answer::Reset], "{ips:?}");
    }
    // A pod is no part of the world, whatever its address.
    for address in addresses(&server) {
        assert_eq!(ask(&caller, address, "get a\r\n"), Answer::Reset, "{address}");
    }
}

#[test]
fn the_world_is_all_that_is_not_the_clusters() {
    let stage = Stage::set();
    let (head, _) = POLICY.split_once("  - toCIDRSet").expect("rules");
    stage.write_policy("caller.yaml", &format!("{head}  - toEntities: [world]\n"));
    let server = stage.server("server");
    let caller = stage.caller(|_| {});
    moves_out(&server, &caller);
    for ips in [NEAR, EXCEPTED, FAR] {
        assert_eq!(reaches(&caller, ips), [miss(), miss()], "{ips:?}");
    }
    for address in addresses(&server) {
        assert_eq!(ask(&caller, address, "get a\r\n"), Answer::Reset, "{address}");
    }
    stage.write_policy("caller.yaml", &format!("{head}  - toEntities: [all]\n"));
    for address in addresses(&server) {
        eventually("everybody", || ask(&caller, address, "get a\r\n") == miss());
    }
    assert_eq!(reaches(&caller, FAR), [miss(), miss()]);
}

crate::node_mode::in_node_mode! {
    networks_are_reached_but_for_their_exceptions,
    the_world_is_all_that_is_not_the_clusters,
}
