//! Pods reach each other over IPv4 and IPv6, and nobody else's network.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use common::{LIMIT, node, pod, run, server, shell};
use serde_json::json;

/// The body of the answer to a GET.
fn get(mut stream: TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn pods_and_node_reach_each_other_over_both_families() {
    let node = node();
    let server = run(&node, &pod("server", json!([server()])));
    let client = run(&node, &pod("client", json!([shell("main", "sleep 60")])));
    server.wait_log("server", |log| log == "up\n", LIMIT).unwrap();
    let pairs: [(IpAddr, IpAddr, IpAddr); 2] = [
        (server.ipv4().into(), client.ipv4().into(), node.addresses()[0]),
        (server.ipv6().into(), client.ipv6().into(), node.addresses()[1]),
    ];
    for (to, from, from_node) in pairs {
        let to = SocketAddr::new(to, 8080);
        assert_eq!(get(client.connect(to).unwrap()), from.to_string());
        assert_eq!(get(client.connect_from(from, to).unwrap()), from.to_string());
        assert_eq!(get(node.connect(to).unwrap()), from_node.to_string());
    }
    let nobody = SocketAddr::new(client.ipv4().into(), 8080);
    assert_eq!(node.connect(nobody).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_program_of_the_host_can_look_at_a_pods_network() {
    let node = node();
    let pod = run(&node, &pod("seen", json!([shell("main", "sleep 60")])));
    let links = pod.netns_exec(&["ip", "-brief", "address"]).unwrap();
    assert_eq!(links.code, 0);
    assert!(
        links.stdout.contains(&pod.ipv4().to_string())
            && links.stdout.contains(&pod.ipv6().to_string())
    );
    assert_ne!(pod.netns_exec(&["ip", "link", "show", "dev", "pods"]).unwrap().code, 0);
}

#[test]
fn a_process_of_the_node_lives_in_its_network_until_it_is_dropped() {
    let node = node();
    let script =
        "ip -brief address show dev pods; trap 'exit 4' TERM; while :; do sleep 0.02; done";
    let process = node.start_process("daemon", &["sh", "-c", script], &[]).unwrap();
    process.wait_log(|log| log.contains("10.77.0.1"), LIMIT).unwrap();
    assert!(process.rss_kib().unwrap() > 0);
    process.signal(remora_netns::Signal::TERM);
    assert_eq!(process.wait(LIMIT).unwrap(), 4);
}
