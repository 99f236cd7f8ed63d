//! What the sidecar costs when idle, and what it survives.

use std::net::SocketAddr;

use serde_json::json;

use crate::stage::{Answer, MEMCACHED, POLICY, Stage, ask, denied, eventually, exchange};

/// What a sidecar without connections may hold in memory, as built for tests:
/// with less optimisation, and larger, than what is packed into images.
const IDLE_KIB: u64 = 9 * 1024;

#[test]
fn an_idle_sidecar_is_small() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let fresh = cache.rss_kib("remora").expect("it runs");
    for _ in 0..50 {
        ask(&client, (cache.ipv4(), MEMCACHED).into(), "get pub:a\r\n");
    }
    let used = cache.rss_kib("remora").expect("it runs");
    println!(
        "resident memory of an idle sidecar: {fresh} KiB fresh, {used} KiB after 50 connections"
    );
    assert!(fresh.max(used) <= IDLE_KIB, "{fresh} KiB, then {used} KiB");
}

#[test]
fn a_killed_sidecar_comes_back_closed_until_it_has_its_policy() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    stage.kill_proxy(&cache);
    // Nothing ever passes that policy forbids, whatever the moment.
    eventually("it serves again", || match ask(&client, address, "get sec:a\r\n") {
        Answer::Reset | Answer::Closed | Answer::Refused => false,
        answer => {
            assert_eq!(answer, denied());
            true
        }
    });
    stage.await_proxy(&cache);
}

#[test]
fn without_its_agent_a_sidecar_goes_on_as_before() {
    let mut stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    let mut open = client.connect(address).expect("connected");
    stage.kill_agent();
    for _ in 0..3 {
        assert_eq!(exchange(&mut open, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
        assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
    }
    assert!(stage.is_ready(&cache), "readiness does not drop");
    // The agent comes back and is heard again.
    stage.restart_agent();
    stage.write_policy("cache.yaml", &POLICY.replace("pub:", "other:"));
    eventually("a new policy", || exchange(&mut open, "get pub:a\r\n") == denied());
}

#[test]
fn a_pod_that_is_stopped_ends_cleanly() {
    let stage = Stage::set();
    let mut cache = stage.cache(&[]);
    let codes = cache.stop();
    let sidecar = codes.iter().find(|(name, _)| name == "remora");
    assert_eq!(sidecar, Some(&("remora".to_owned(), 0)), "{codes:?}");
}

crate::node_mode::in_node_mode! {
    a_killed_sidecar_comes_back_closed_until_it_has_its_policy,
    without_its_agent_a_sidecar_goes_on_as_before,
}
