//! Broken manifests cost nobody but themselves, and are named.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::SocketAddr,
};

use serde_json::json;

use crate::stage::{Answer, MEMCACHED, PATIENCE, POLICY, Stage, ask, denied, eventually};

#[test]
fn unreadable_files_are_named_and_the_others_served() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));

    stage.write_policy("half.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: [");
    stage.write_policy("binary.yaml", "\u{0}\u{1}");
    stage.write_policy(
        "without-status.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: young, labels: {role: client}}\nspec: {containers: []}\n",
    );
    stage.agent.wait_log(|log| log.contains("half.yaml:4"), PATIENCE).expect("named");
    stage.agent.wait_log(|log| log.contains("binary.yaml:1"), PATIENCE).expect("named");
    // The next edit is seen all the same.
    assert_eq!(ask(&client, address, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    stage.write_policy("cache.yaml", &POLICY.replace("pub:", "other:"));
    eventually("an edit", || ask(&client, address, "get pub:a\r\n") == denied());
}

#[test]
fn an_address_that_two_pods_claim_is_nobodys() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    assert_eq!(ask(&client, address, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    let twin = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "twin", "uid": "twin", "labels": {"role": "client"}},
        "spec": {"containers": []},
        "status": {"podIPs": [{"ip": client.ipv4().to_string()}]},
    });
    stage.write_policy("twin.json", &twin.to_string());
    eventually("neither is known", || ask(&client, address, "get pub:a\r\n") == Answer::Reset);
    let log = stage.agent.logs();
    assert!(log.contains("default/twin") && log.contains("default/client"), "{log}");
    stage.delete_policy("twin.json");
    eventually("known again", || ask(&client, address, "get pub:a\r\n") != Answer::Reset);
}

#[test]
fn a_policy_in_the_middle_of_being_written_is_not_read() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    // Truncated and half written, it would allow every request: its L7 rules
    // come last.
    let (head, tail) = POLICY.split_once("      rules:").expect("rules");
    let path = stage.manifests().join("cache.yaml");
    let mut file = OpenOptions::new().write(true).truncate(true).open(&path).expect("open");
    file.write_all(head.as_bytes()).expect("written");
    file.flush().expect("written");
    for _ in 0..20 {
        assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
    }
    let tail = format!("      rules:{}", tail.replace("pub:", "other:"));
    file.write_all(tail.as_bytes()).expect("written");
    drop(file);
    eventually("the whole file", || ask(&client, address, "get pub:a\r\n") == denied());
    assert_eq!(ask(&client, address, "get other:a\r\n"), Answer::Text("END\r\n".into()));
    assert!(fs::metadata(&path).is_ok());
}

crate::node_mode::in_node_mode! {
    unreadable_files_are_named_and_the_others_served,
    an_address_that_two_pods_claim_is_nobodys,
    a_policy_in_the_middle_of_being_written_is_not_read,
}
