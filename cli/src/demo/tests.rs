//! The parts of the demo that need no root.

use std::time::Duration;

use clap::ValueEnum;

use super::client::{Answer, lines, memcached_reply, printable};
use super::stories::Story;
use super::table::{Report, Row, Style};
use super::{manifests, needs};

fn row(came_true: bool) -> Row {
    Row {
        story: Story::Memcached,
        client: "monitoring".into(),
        request: "delete a".into(),
        promise: "denied".into(),
        happened: "denied; the key is as it was".into(),
        denial: Some(b"CLIENT_ERROR access denied\r\n".to_vec()),
        came_true,
    }
}

fn report(rows: Vec<Row>) -> Report {
    Report { rows, time: Duration::from_millis(1500) }
}

#[test]
fn all_rows_must_come_true_and_there_must_be_some() {
    assert!(report(vec![row(true), row(true)]).came_true());
    assert!(!report(vec![row(true), row(false)]).came_true());
    assert!(!report(vec![]).came_true());
}

#[test]
fn the_table_shows_the_bytes_of_the_denial_and_colours_only_a_terminal() {
    let report = report(vec![row(true), row(false)]);
    let plain = report.table(Style::Plain);
    assert!(plain.contains("CLIENT_ERROR access denied\\r\\n"), "{plain}");
    assert!(plain.contains("  ✓ monitoring") && plain.contains("  ✗ monitoring"), "{plain}");
    assert!(plain.contains("1 of 2 rows came true, in 1.5 s"), "{plain}");
    assert!(!plain.contains('\x1b'));
    assert!(report.table(Style::Coloured).contains("\x1b[31m✗\x1b[0m"));
}

#[test]
fn json_has_every_column() {
    let json = report(vec![row(true)]).to_json();
    assert_eq!(json["cameTrue"], true);
    assert_eq!(json["rows"][0]["story"], "memcached");
    assert_eq!(json["rows"][0]["denial"], "CLIENT_ERROR access denied\r\n");
}

#[test]
fn a_storys_name_is_the_one_on_the_command_line() {
    for story in Story::value_variants() {
        assert_eq!(story.to_possible_value().unwrap().get_name(), story.name());
    }
    // Audit mode is shown when it is asked for.
    assert_eq!(Story::ALL.len() + 1, Story::value_variants().len());
    assert!(!Story::ALL.contains(&Story::Audit));
}

#[test]
fn every_manifest_reads_and_the_servers_can_be_injected() {
    let names = |pods: Vec<serde_json::Value>| -> Vec<String> {
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let clients = ["maintenance", "monitoring", "jedi", "outsider", "nobody"];
    assert_eq!(names(manifests::clients().unwrap()), clients);
    let servers = manifests::servers().unwrap();
    for server in &servers {
        remora_injector::inject(server, &remora_injector::InjectConfig::default()).unwrap();
    }
    assert_eq!(names(servers), ["memcached", "droid"]);
    let (servers, clients) = manifests::cassandra().unwrap();
    remora_injector::inject(&servers[0], &remora_injector::InjectConfig::default()).unwrap();
    assert_eq!(
        (names(servers), names(clients)),
        (vec!["cassandra".into()], vec!["outpost".into(), "headquarters".into()])
    );
}

#[test]
fn the_edited_policy_differs_in_one_line() {
    let edited = manifests::memcached_policy_edited().unwrap();
    let pairs = manifests::MEMCACHED_POLICY.lines().zip(edited.lines());
    let changed: Vec<_> = pairs.filter(|(before, after)| before != after).collect();
    assert_eq!(changed.len(), 1);
    assert!(changed[0].1.contains("alliance/medbay/"));
}

#[test]
fn what_is_not_installed_is_named_with_its_package() {
    let empty = tempfile::tempdir().unwrap();
    let directory = empty.path().to_str().unwrap();
    let missing = needs::installed(&[directory]).unwrap_err().to_string();
    assert_eq!(missing, "`memcached` is not installed: `apt-get install memcached`");
    std::fs::write(empty.path().join("memcached"), "").unwrap();
    let missing = needs::installed(&[directory]).unwrap_err().to_string();
    assert!(missing.ends_with("`apt-get install iptables`"), "{missing}");
}

#[test]
fn replies_are_whole_when_they_are() {
    assert!(memcached_reply(b"STORED\r\n"));
    assert!(!memcached_reply(b"VALUE a 0 2\r\nxy\r\n"));
    assert!(memcached_reply(b"VALUE a 0 2\r\nxy\r\nEND\r\n"));
    assert!(!memcached_reply(b""));
    assert!(lines(2)(b"a\r\nb\r\n") && !lines(2)(b"a\r\nb"));
}

#[test]
fn answers_print_as_a_person_reads_them() {
    assert_eq!(printable(b"it's \"no\"\r\n\x01"), "it's \"no\"\\r\\n\\x01");
    assert_eq!(Answer::Reset.to_string(), "connection reset");
}
