//! Clients of the cluster that the agent has not told of yet.

use std::time::Duration;

use remora_sidecar::config::OriginalDestination;

use crate::support::{
    CLIENT, Client, Kind, LineServer, Pod, anybody, hosts, l4, l7, policy, unknown, until,
};

/// The series that counts those who stayed unknown.
const COUNTED: &str = "remora_connections_total{verdict=\"DROPPED\",reason=\"identity-unknown\"}";

/// A pod that knows none of its clients.
async fn pod(
    app: &LineServer,
    wait: Duration,
    ports: Vec<remora_api::cilium::PortNetworkPolicy>,
) -> Pod {
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(app.address);
        config.unknown_wait = wait;
    })
    .await;
    pod.agent.policy("1", &policy(ports));
    pod.agent.hosts("1", &[unknown()]);
    pod.agent.acked(Kind::Policies, "1").await;
    pod
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_client_waits_for_the_update_that_tells_who_it_is() {
    let app = LineServer::start().await;
    let mut pod = pod(&app, LONG, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    client.send("hello\nbye\n").await;
    until("it to wait", || async { pod.metric("remora_connections_waiting").await == 1 }).await;
    // One about somebody else does not help, and does no harm.
    let mut other = hosts(2002);
    other[0].host_addresses = vec!["127.0.0.3".into()];
    pod.agent.hosts("2", &[unknown(), other[0].clone()]);
    pod.agent.acked(Kind::Hosts, "2").await;
    assert_eq!(app.connections(), 0);

    let [known] = hosts(CLIENT);
    pod.agent.hosts("3", &[unknown(), known]);
    client.expect("ok hello\ndenied\n").await;
    assert_eq!(pod.line().await["verdict"], "FORWARDED");
    assert_eq!(pod.metric(COUNTED).await, 0);
}

#[tokio::test]
async fn the_first_pod_of_its_kind_waits_for_the_rule_that_names_it() {
    let app = LineServer::start().await;
    // A rule that names nobody is not in the slice at all.
    let mut pod = pod(&app, LONG, vec![]).await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    let [known] = hosts(CLIENT);
    pod.agent.hosts("2", &[unknown(), known]);
    pod.agent.acked(Kind::Hosts, "2").await;
    pod.agent.policy("2", &policy(vec![l4(app.address.port(), CLIENT)]));
    client.expect("ok hello\n").await;
}

#[tokio::test]
async fn a_client_that_stays_unknown_is_denied_by_that_name() {
    let app = LineServer::start().await;
    let wait = Duration::from_millis(50);
    let mut pod = pod(&app, wait, vec![l4(app.address.port(), CLIENT)]).await;
    pod.connect().await.expect_reset().await;
    let line = pod.line().await;
    assert_eq!((&line["verdict"], &line["error"]), (&"DROPPED".into(), &"identity-unknown".into()));
    assert!(line["reason"].as_str().unwrap().contains("identity is unknown"), "{line}");
    assert_eq!(line["source_identity"], serde_json::Value::Null);
    assert_eq!(app.connections(), 0);
    assert_eq!(pod.metric(COUNTED).await, 1);
}

#[tokio::test]
async fn where_anybody_may_connect_nobody_waits() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let pod = pod(&app, LONG, vec![anybody(port), l4(port, CLIENT)]).await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
}

#[tokio::test]
async fn outside_the_clusters_ranges_nobody_waits() {
    let app = LineServer::start().await;
    let mut pod = pod(&app, LONG, vec![l4(app.address.port(), CLIENT)]).await;
    let mut world = unknown();
    world.policy = 2;
    pod.agent.hosts("2", &[world]);
    pod.agent.acked(Kind::Hosts, "2").await;
    pod.connect().await.expect_reset().await;
    let line = pod.line().await;
    assert_eq!((&line["error"], &line["source_identity"]), (&"policy-denied".into(), &2.into()));
    pod.agent.hosts("3", &[]);
    pod.agent.acked(Kind::Hosts, "3").await;
    pod.connect().await.expect_reset().await;
    assert_eq!(pod.line().await["error"], "policy-denied");
}

#[tokio::test]
async fn a_stop_ends_the_wait() {
    let app = LineServer::start().await;
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(app.address);
        config.unknown_wait = LONG;
        config.drain = Duration::from_millis(50);
    })
    .await;
    pod.agent.policy("1", &policy(vec![l4(app.address.port(), CLIENT)]));
    pod.agent.hosts("1", &[unknown()]);
    pod.agent.acked(Kind::Policies, "1").await;
    let mut client: Client = pod.connect().await;
    until("it to wait", || async { pod.metric("remora_connections_waiting").await == 1 }).await;
    let log = pod.stop_and_read_log().await;
    client.expect_reset().await;
    assert_eq!(log.last().unwrap()["error"], "internal-stopped");
}
