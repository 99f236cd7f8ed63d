//! Ways around the redirection, and round in circles (threats B7).

use std::net::SocketAddr;

use serde_json::json;

use crate::stage::{Answer, MEMCACHED, POLICY, Stage, ask, stat};

/// Threats row 99: what an app serves to itself alone stays so.
#[test]
fn an_app_on_loopback_is_not_reachable_from_outside() {
    let stage = Stage::set();
    let client = stage.client("client", &json!({}));
    let cache = stage.cache(&["-l", "127.0.0.1"]);
    assert!(stat(&cache, "total_connections") > 0, "it does listen on loopback");
    let before = stat(&cache, "total_connections");
    for address in [SocketAddr::from((cache.ipv4(), MEMCACHED)), (cache.ipv6(), MEMCACHED).into()] {
        assert_eq!(ask(&client, address, "get a\r\n"), Answer::Reset);
    }
    assert_eq!(stat(&cache, "total_connections") - before, 1, "the counting itself is one");
}

/// Threats row 101: a connection whose destination is the proxy leads nowhere.
#[test]
fn the_proxys_own_port_is_no_way_in() {
    let stage = Stage::set();
    let client = stage.client("client", &json!({}));
    let cache = stage.cache(&[]);
    let own_ports = [16006, 16000, 16001, 16020, 16021];
    for port in own_ports {
        let answer = ask(&client, (cache.ipv4(), port).into(), "get a\r\n");
        assert!(matches!(answer, Answer::Reset | Answer::Refused | Answer::Closed), "{port}");
    }
    // From inside the pod too: neither loopback nor its own address loops.
    for address in [SocketAddr::from(([127, 0, 0, 1], 16006)), (cache.ipv4(), 16006).into()] {
        let answer = ask(&cache, address, "get a\r\n");
        assert!(matches!(answer, Answer::Reset | Answer::Closed), "{address}: {answer:?}");
    }
    let miss = Answer::Text("END\r\n".to_owned());
    assert_eq!(ask(&client, (cache.ipv4(), MEMCACHED).into(), "get a\r\n"), miss);
    assert_eq!(cache.restarts("remora").expect("a sidecar"), 0);
}

/// Threats rows 98 and 101: a pod's traffic to itself is neither redirected nor judged.
#[test]
fn a_pod_reaches_itself_under_any_policy() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let cache = stage.cache(&[]);
    let stored = Answer::Text("STORED\r\n".to_owned());
    for address in [
        SocketAddr::from(([127, 0, 0, 1], MEMCACHED)),
        (cache.ipv4(), MEMCACHED).into(),
        (cache.ipv6(), MEMCACHED).into(),
    ] {
        assert_eq!(ask(&cache, address, "set any 0 0 1\r\nx\r\n"), stored, "{address}");
    }
}

#[test]
fn a_port_that_is_skipped_is_reached_by_everybody() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let outsider = stage.client("outsider", &json!({}));
    let skips = json!({"remora.dev/skip-inbound-ports": "11200-11211"});
    let cache = stage.cache_with(&[], &skips);
    let miss = Answer::Text("END\r\n".to_owned());
    for ip in [cache.ipv4().into(), cache.ipv6().into()] {
        assert_eq!(ask(&outsider, SocketAddr::new(ip, MEMCACHED), "get sec:a\r\n"), miss);
        // Its neighbours are none the less closed.
        assert_eq!(ask(&outsider, SocketAddr::new(ip, 11212), "get a\r\n"), Answer::Reset);
    }
}
