//! What passes and what does not, over both IP families.

use std::{net::SocketAddr, time::Instant};

use serde_json::json;

use crate::stage::{
    Answer, MEMCACHED, POLICY, Stage, ask, denied, eventually, exchange, miss, stat,
};

#[test]
fn requests_are_judged_over_both_families() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    for address in [SocketAddr::from((cache.ipv4(), MEMCACHED)), (cache.ipv6(), MEMCACHED).into()] {
        let mut stream = client.connect(address).expect("connected");
        assert_eq!(exchange(&mut stream, "get pub:a\r\n"), miss(), "{address}");
        assert_eq!(exchange(&mut stream, "get sec:a\r\n"), denied());
        assert_eq!(exchange(&mut stream, "set pub:a 0 0 1\r\nx\r\n"), denied());
        assert_eq!(exchange(&mut stream, "get pub:b\r\n"), miss(), "the connection lives on");
    }
    // Records are written beside the traffic, not before it.
    eventually("each is logged", || stage.access_entries(&cache).len() >= 8);
    let (entries, log) = (stage.access_entries(&cache), stage.access_log(&cache));
    let verdicts =
        |verdict: &str| entries.iter().filter(|entry| entry["verdict"] == verdict).count();
    assert_eq!((verdicts("FORWARDED"), verdicts("DROPPED")), (4, 4), "{log}");
    let forwarded = &entries[0];
    assert_eq!(forwarded["fields"]["command"], "get");
    let key = forwarded["fields"]["key"].as_str().expect("a key");
    assert!(key.starts_with('#') && !log.contains("pub:a"), "keys are hashes: {log}");
    assert_eq!(forwarded["rule"], "default/cache ingress[0].toPorts[0].l7[0]");
}

/// Threats row 92: what comes from the node, translated or not, is no pod's.
#[test]
fn the_node_is_denied_as_any_other() {
    let stage = Stage::set();
    let cache = stage.cache(&[]);
    let addresses = [SocketAddr::from((cache.ipv4(), MEMCACHED)), (cache.ipv6(), MEMCACHED).into()];
    for address in addresses {
        assert_eq!(stage.ask_from_node(address, "get pub:a\r\n"), miss(), "without a policy");
    }
    stage.write_policy("cache.yaml", POLICY);
    for address in addresses {
        eventually("the node is denied", || {
            stage.ask_from_node(address, "get pub:a\r\n") == Answer::Reset
        });
    }
}

/// Design, semantics 10: reset, the app not dialled, no byte to it.
#[test]
fn a_denied_connection_never_reaches_the_app() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let (client, outsider) = stage.client_and_outsider();
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    assert_eq!(ask(&client, address, "get pub:a\r\n"), miss());
    let before = (stat(&cache, "total_connections"), stat(&cache, "bytes_read"));
    for _ in 0..20 {
        assert_eq!(ask(&outsider, address, "get pub:a\r\n"), Answer::Reset);
        // Nor is another port of the pod open to anybody, whether one listens or not.
        assert_eq!(ask(&client, (cache.ipv4(), 22).into(), "x"), Answer::Reset);
    }
    let after = (stat(&cache, "total_connections"), stat(&cache, "bytes_read"));
    // Each `stat` is a connection of seven bytes itself.
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 2 * 7));
}

#[test]
fn an_edited_policy_judges_an_open_connection_anew() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let mut stream = client.connect((cache.ipv4(), MEMCACHED).into()).expect("connected");
    assert_eq!(exchange(&mut stream, "get pub:a\r\n"), miss());
    stage.write_policy("cache.yaml", &POLICY.replace("pub:", "other:"));
    let edited = Instant::now();
    eventually("the edit is enforced", || exchange(&mut stream, "get pub:a\r\n") == denied());
    println!("an open connection was judged anew {:?} after the edit", edited.elapsed());
    assert!(edited.elapsed().as_secs() < 1, "{:?}", edited.elapsed());
    assert_eq!(exchange(&mut stream, "get other:a\r\n"), miss());
}

#[test]
fn without_a_policy_a_pod_is_open_and_with_its_deletion_again() {
    let stage = Stage::set();
    let client = stage.client("client", &json!({}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    assert_eq!(ask(&client, address, "set any 0 0 1\r\nx\r\n"), Answer::Text("STORED\r\n".into()));
    stage.write_policy("cache.yaml", POLICY);
    eventually("the policy is enforced", || {
        ask(&client, address, "get pub:a\r\n") == Answer::Reset
    });
    stage.delete_policy("cache.yaml");
    eventually("its deletion too", || ask(&client, address, "get pub:a\r\n") == miss());
}

/// Design, semantics 1: refused means reported, and still closed.
#[test]
fn a_refused_policy_leaves_its_pods_closed() {
    let stage = Stage::set();
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    assert_eq!(ask(&client, address, "get pub:a\r\n"), miss());
    stage.write_policy("cache.yaml", &POLICY.replace("command: get", "command: git"));
    eventually("closed", || ask(&client, address, "get pub:a\r\n") == Answer::Reset);
    let log = stage.agent.logs();
    assert!(log.contains("cache.yaml:15") && log.contains("git"), "{log}");
    // A good version opens what it allows; a refused one after it changes nothing.
    stage.write_policy("cache.yaml", POLICY);
    eventually("open", || ask(&client, address, "get pub:a\r\n") == miss());
    stage.write_policy("cache.yaml", &POLICY.replace("l7proto: memcache", "l7proto: memcash"));
    eventually("refused", || stage.agent.logs().contains("memcash"));
    assert_eq!(ask(&client, address, "get pub:a\r\n"), miss());
    assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
}

crate::node_mode::in_node_mode! {
    requests_are_judged_over_both_families,
    the_node_is_denied_as_any_other,
    a_denied_connection_never_reaches_the_app,
    an_edited_policy_judges_an_open_connection_anew,
    without_a_policy_a_pod_is_open_and_with_its_deletion_again,
    a_refused_policy_leaves_its_pods_closed,
}
