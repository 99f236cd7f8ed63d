//! Who one has to be.

use serde_json::json;

use super::{Walled, root};
use crate::stage::{MEMCACHED, ask, miss};

const BECOME_THE_PROXY: [&str; 4] = ["setpriv", "--reuid", "16006", "--clear-groups"];

/// An app without privileges, as the `restricted` Pod Security Standard has it.
fn restricted() -> serde_json::Value {
    json!({
        "runAsUser": 65534, "runAsGroup": 65534, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
    })
}

#[test]
fn an_app_without_privileges_stays_behind_the_wall() {
    let walled = Walled::set(&restricted());
    assert_eq!(walled.connects(&[]), ["reset", "reset"]);
    // Another uid is not to be had.
    let refused = walled.connects(&BECOME_THE_PROXY);
    assert!(refused.iter().all(|text| text.contains("Operation not permitted")), "{refused:?}");
    // In a user namespace of one's own every number stands for oneself.
    let namespace = ["unshare", "--user", "--map-user=16006"];
    assert_eq!(walled.connects(&namespace), ["reset", "reset"]);
    // Nor are the rules to be taken away, not even with a network of one's own.
    for take in [
        &["iptables", "-t", "nat", "-F", "REMORA_OUTBOUND"][..],
        &["unshare", "--user", "--map-root-user", "iptables", "-t", "nat", "-F", "REMORA_OUTBOUND"],
    ] {
        let output = walled.caller.exec("app", take).expect("it runs");
        assert_ne!(output.code, 0, "{take:?}");
    }
    assert_eq!(walled.connects(&[]), ["reset", "reset"]);
    let verified = walled.caller.netns_exec(&[init().as_str(), "verify"]).expect("it runs");
    assert_eq!(verified.code, 0, "{}", verified.stderr);
}

#[test]
fn root_alone_stays_behind_the_wall() {
    let walled = Walled::set(&json!({"capabilities": {"drop": ["ALL"]}}));
    assert_eq!(walled.connects(&[]), ["reset", "reset"]);
    let refused = walled.connects(&BECOME_THE_PROXY);
    assert!(refused.iter().all(|text| text.contains("Operation not permitted")), "{refused:?}");
}

/// README: egress does not bind who can become the proxy.
#[test]
fn root_with_setuid_walks_around_the_wall() {
    let walled = Walled::set(&root());
    assert_eq!(walled.connects(&[]), ["reset", "reset"]);
    assert_eq!(walled.connects(&BECOME_THE_PROXY), ["END", "END"]);
}

/// README: nor who may change the rules; a privileged container may, too.
#[test]
fn net_admin_takes_the_wall_down() {
    let walled = Walled::set(&json!({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}));
    assert_eq!(walled.connects(&[]), ["reset", "reset"]);
    for command in ["iptables", "ip6tables"] {
        for table in ["nat", "mangle"] {
            let flush = [command, "-t", table, "-F"];
            let output = walled.caller.exec("app", &flush).expect("it runs");
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
    }
    assert_eq!(walled.connects(&[]), ["END", "END"]);
    let verified = walled.caller.netns_exec(&[init().as_str(), "verify"]).expect("it runs");
    assert_eq!(verified.code, 1, "and it is noticed by who looks");
}

/// What one does to oneself binds nobody else: the servers' policies hold.
#[test]
fn what_the_server_does_not_allow_no_client_gets() {
    let walled = Walled::set(&root());
    walled.stage.write_policy("cache.yaml", crate::stage::POLICY);
    let neighbour = walled.stage.client("client", &json!({"role": "client"}));
    let cache = walled.stage.cache(&[]);
    let to = cache.ipv4().into();
    assert_eq!(walled.sends(&BECOME_THE_PROXY, "connect", to, ""), "reset");
    assert_eq!(ask(&neighbour, (cache.ipv4(), MEMCACHED).into(), "get pub:a\r\n"), miss());
}

/// The program that the harness's images hold.
pub(super) fn init() -> String {
    crate::stage::bin().join("remora-init").to_str().expect("UTF-8").to_owned()
}

crate::node_mode::in_node_mode! {
    an_app_without_privileges_stays_behind_the_wall,
    root_alone_stays_behind_the_wall,
    root_with_setuid_walks_around_the_wall,
    net_admin_takes_the_wall_down,
    what_the_server_does_not_allow_no_client_gets,
}
