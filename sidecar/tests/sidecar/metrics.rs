//! What Prometheus collects.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    hash::{BuildHasher as _, RandomState},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use remora_sidecar::config::OriginalDestination;

use crate::support::{
    CLIENT, Client, Kind, LineServer, Pod, ask, get, hosts, l4, l7, policy, until,
};

async fn page(pod: &Pod) -> String {
    let (status, page) = get("127.0.0.1", pod.addresses.metrics, "/metrics").await;
    assert_eq!(status, 200);
    page
}

fn series(page: &str) -> BTreeSet<&str> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0).collect()
}

#[tokio::test]
async fn every_sample_belongs_to_a_family_with_help_and_type() {
    let app = LineServer::start().await;
    let pod = Pod::start(app.address).await;
    let page = page(&pod).await;
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(
                [format!("{family} counter"), format!("{family} gauge")].contains(&rest.into())
            );
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(family), "{line}");
            value.parse::<u64>().unwrap();
        }
    }
    assert_eq!(series(&page).len() + page.matches("# ").count(), page.lines().count());
    let (status, _) = get("127.0.0.1", pod.addresses.metrics, "/").await;
    assert_eq!(status, 404);
    let (status, _) = ask("127.0.0.1", pod.addresses.metrics, "POST /metrics").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn requests_and_connections_are_counted() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello"])]).await;
    assert_ne!(pod.metric("remora_policy_version_timestamp_seconds").await, 0);
    assert_ne!(pod.metric("remora_policy_version").await, 0);
    assert_eq!(pod.metric("remora_agent_connected").await, 1);
    let mut client = pod.connect().await;
    client.send("hello\nbye\nbye\n").await;
    client.expect("ok hello\ndenied\ndenied\n").await;
    client.end().await;
    client.rest().await.1.unwrap();
    // Nobody that policy knows.
    Client::connect("127.0.0.3", pod.addresses.inbound).await.expect_reset().await;

    let requests =
        |verdict| format!("remora_requests_total{{l7proto=\"line\",verdict=\"{verdict}\"}}");
    assert_eq!(pod.metric(&requests("FORWARDED")).await, 1);
    assert_eq!(pod.metric(&requests("DROPPED")).await, 2);
    assert_eq!(pod.metric(&requests("AUDIT")).await, 0);
    let connections = |verdict, reason| {
        format!("remora_connections_total{{verdict=\"{verdict}\",reason=\"{reason}\"}}")
    };
    let ended = connections("FORWARDED", "ended");
    until("the connection's end", || async { pod.metric(&ended).await == 1 }).await;
    assert_eq!(pod.metric(&connections("DROPPED", "policy-denied")).await, 1);
}

#[tokio::test]
async fn an_opaque_connection_is_counted_when_it_ends() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l4(app.address.port(), CLIENT)]).await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    let ended = "remora_connections_total{verdict=\"FORWARDED\",reason=\"ended\"}";
    assert_eq!(pod.metric(ended).await, 0);
    client.end().await;
    until("the connection's end", || async { pod.metric(ended).await == 1 }).await;
}

#[tokio::test]
async fn an_agent_that_is_gone_is_shown() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![]).await.stop_agent().await;
    until("no connection", || async { pod.metric("remora_agent_connected").await == 0 }).await;
}

#[tokio::test]
async fn whatever_clients_send_there_are_no_more_series() {
    let keys = if std::env::var_os("REMORA_FULL").is_some() { 1_000_000 } else { 100_000 };
    let app = LineServer::start().await;
    let port = app.address.port();
    let address = app.address;
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(address);
        config.limits.denials = u64::MAX;
    })
    .await;
    pod.agent.policy("1", &policy(vec![l7(port, CLIENT, &["hello"])]));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    let before = page(&pod).await;
    let random = RandomState::new();
    let mut requests = String::new();
    for key in 0..keys {
        let _ = writeln!(requests, "{:016x}", random.hash_one(key));
    }
    let (mut reader, mut writer) = pod.connect().await.0.into_split();
    let sent = tokio::spawn(async move {
        writer.write_all(requests.as_bytes()).await.unwrap();
        writer
    });
    let mut replies = vec![0; keys * "denied\n".len()];
    crate::support::within("all replies", reader.read_exact(&mut replies)).await.unwrap();
    drop(sent.await.unwrap());

    let after = page(&pod).await;
    assert_eq!(series(&before), series(&after));
    let denied = "remora_requests_total{l7proto=\"line\",verdict=\"DROPPED\"}";
    assert_eq!(pod.metric(denied).await, u64::try_from(keys).unwrap());
}
