//! Pods that share a proxy on the node: what is one's own, and what becomes of
//! one whose endpoint is not served.

use std::{fs, io::Read as _, net::SocketAddr, os::unix::fs::MetadataExt as _};

use remora_netns::Pod;
use serde_json::{Value, json};

use crate::{
    node_mode,
    stage::{
        Answer, MEMCACHED, POLICY, Stage, ask, denied, eventually, exchange, listening, miss, stat,
    },
};

fn address(pod: &Pod) -> SocketAddr {
    (pod.ipv4(), MEMCACHED).into()
}

/// Two caches by one policy, and a client that it allows.
fn set() -> (Stage, Pod, [Pod; 2]) {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let caches = ["one", "other"].map(|name| listening(stage.run(&stage.injected(name, &[]))));
    (stage, client, caches)
}

/// Threats row 103, with a proxy on the node.
#[test]
fn a_pod_that_is_not_served_is_closed_and_its_neighbour_is_not() {
    node_mode::run(|| {
        let (stage, client, [one, other]) = set();
        let proxy = stage.proxy.as_ref().expect("node mode");
        let mut at_one = client.connect(address(&one)).expect("connected");
        let mut at_other = client.connect(address(&other)).expect("connected");
        for stream in [&mut at_one, &mut at_other] {
            assert_eq!(exchange(stream, "get pub:a\r\n"), miss());
        }
        let good = proxy.replace("one", None);
        eventually("it is refused", || {
            ask(&client, address(&one), "get pub:a\r\n") == Answer::Refused
        });
        let before = stat(&one, "total_connections");
        let answer = exchange(&mut at_one, "get pub:a\r\n");
        assert!(matches!(answer, Answer::Reset | Answer::Closed), "{answer:?}");
        // An endpoint that says something else than its author means is none.
        let wrong = good.replace("REMORA_POD_UID", "REMORA_POD_UDI");
        proxy.replace("one", Some(&wrong));
        eventually("it is told why", || proxy.said().contains("REMORA_POD_UID: is not set"));
        assert_eq!(ask(&client, address(&one), "get pub:a\r\n"), Answer::Refused);
        assert_eq!(stat(&one, "total_connections") - before, 1, "the counting itself is one");
        assert_eq!(exchange(&mut at_other, "get pub:a\r\n"), miss(), "on the same connection");
        proxy.replace("one", Some(&good));
        eventually("it is served again", || ask(&client, address(&one), "get pub:a\r\n") == miss());
        assert_eq!(ask(&client, address(&one), "get sec:a\r\n"), denied());
        proxy.assert_runs();
    });
}

/// Threats row 133: what was one pod's process may be another's by now.
#[test]
fn a_network_that_is_not_the_one_that_was_meant_is_not_entered() {
    node_mode::run(|| {
        let (stage, client, [one, other]) = set();
        let proxy = stage.proxy.as_ref().expect("node mode");
        let good = proxy.replace("one", None);
        let mut file: Value = serde_json::from_str(&good).expect("an endpoint");
        let inode = |file: &Value| {
            fs::metadata(file["network"].as_str().expect("a path")).expect("a network").ino()
        };
        let (own, network) = (inode(&file), file["network"].clone());
        // By the way to the neighbour's network, which was to one's own.
        let others = proxy.replace("other", None);
        let others: Value = serde_json::from_str(&others).expect("an endpoint");
        (file["network"], file["inode"]) = (others["network"].clone(), json!(own));
        proxy.replace("one", Some(&file.to_string()));
        eventually("it is told why", || proxy.said().contains("is another one by now"));
        for pod in [&one, &other] {
            assert_eq!(ask(&client, address(pod), "get pub:a\r\n"), Answer::Refused);
        }
        file["network"] = network;
        proxy.replace("one", Some(&file.to_string()));
        eventually("it is served", || ask(&client, address(&one), "get pub:a\r\n") == miss());
        assert_eq!(ask(&client, address(&other), "get pub:a\r\n"), Answer::Refused);
        proxy.assert_runs();
    });
}

/// Neither a port nor an identity of one pod's is another's.
#[test]
fn each_pod_has_its_own_policy_and_goes_out_as_itself() {
    node_mode::run(|| {
        let (stage, client, [one, other]) = set();
        stage.write_policy(
            "egress.yaml",
            &crate::egress::POLICY.replace("app: caller", "app: cache").replace("open", "server"),
        );
        let server = stage.server("server");
        for pod in [&one, &other] {
            eventually("its egress", || ask(pod, address(&server), "get a\r\n") == miss());
            assert_eq!(ask(pod, address(&client), "get a\r\n"), Answer::Reset);
        }
        // The server's own policy knows who comes: a pod's proxy has its address.
        let peers = stage.access_entries(&one);
        assert!(peers.iter().all(|entry| entry["pod"] == "one"), "{peers:?}");
        let log = server.netns_exec(&["ss", "-tan"]).expect("it runs").stdout;
        assert!(!log.contains("10.77.0.1:"), "nobody comes from the node: {log}");
    });
}

#[test]
fn a_proxy_that_is_stopped_ends_what_is_at_rest_in_order() {
    node_mode::run(|| {
        let (stage, client, caches) = set();
        let proxy = stage.proxy.as_ref().expect("node mode");
        let mut streams = caches.each_ref().map(|cache| {
            let mut stream = client.connect(address(cache)).expect("connected");
            assert_eq!(exchange(&mut stream, "get pub:a\r\n"), miss());
            stream
        });
        assert_eq!(proxy.stop(), 0, "{}", proxy.said());
        for (stream, cache) in streams.iter_mut().zip(&caches) {
            assert_eq!(stream.read(&mut [0]).expect("no reset"), 0, "an orderly end");
            assert_eq!(ask(&client, address(cache), "get pub:a\r\n"), Answer::Refused);
        }
    });
}
