//! What the pod's own app may reach. Servers on 127.0.0.1 are [`CLIENT`], whose
//! number stands for the peer's identity in either direction.

use std::time::Duration;

use remora_sidecar::config::OriginalDestination;

use crate::support::{
    CLIENT, Kind, LineServer, Pod, anybody, egress, hosts, l4, l7, policy, silent_port, unknown,
    unrestricted, until,
};

#[tokio::test]
async fn before_any_policy_nothing_goes_out() {
    let server = LineServer::start().await;
    let mut pod = Pod::start(server.address).await;
    pod.connect_out().await.expect_reset().await;
    let line = pod.line().await;
    assert_eq!((&line["verdict"], &line["direction"]), (&"DROPPED".into(), &"egress".into()));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn without_an_egress_policy_everything_goes_out() {
    let server = LineServer::start().await;
    let mut pod = Pod::start(server.address).await;
    pod.agent.policy("1", &egress(vec![unrestricted()]));
    pod.agent.hosts("1", &[]);
    pod.agent.acked(Kind::Policies, "1").await;
    let mut app = pod.connect_out().await;
    app.send("hello\n").await;
    app.expect("ok hello\n").await;
    app.end().await;
    app.rest().await.1.unwrap();
    until("the server to see the end", || async { server.ended() == 1 }).await;
    assert!(pod.stop_and_read_log().await.is_empty());
}

#[tokio::test]
async fn a_connection_that_no_rule_allows_never_leaves_the_pod() {
    let server = LineServer::start().await;
    let port = server.address.port();
    // To somebody else on this port, and to the server on another.
    for ports in [vec![], vec![l4(port, 2002)], vec![l4(port.wrapping_add(1), CLIENT)]] {
        let mut pod = Pod::ready_to_go_out(server.address, ports).await;
        let mut app = pod.connect_out().await;
        app.send("hello\n").await;
        app.expect_reset().await;
        let line = pod.line().await;
        assert_eq!(line["verdict"], "DROPPED");
        assert_eq!(line["error"], "policy-denied");
        assert_eq!(line["direction"], "egress");
        assert_eq!(line["destination"], server.address.to_string());
        assert_eq!(line["destination_identity"], CLIENT);
        assert_eq!(line.get("source_identity"), None);
    }
    assert_eq!((server.connections(), server.received().as_str()), (0, ""));
}

#[tokio::test]
async fn requests_that_go_out_are_judged_one_by_one() {
    let server = LineServer::start().await;
    let port = server.address.port();
    let mut pod = Pod::ready_to_go_out(server.address, vec![l7(port, CLIENT, &["hello"])]).await;
    let mut app = pod.connect_out().await;
    app.send("hello\nbye\nhello\n").await;
    app.expect("ok hello\ndenied\nok hello\n").await;
    let verdicts = [pod.line().await, pod.line().await, pod.line().await];
    for (line, verdict) in verdicts.iter().zip(["FORWARDED", "DROPPED", "FORWARDED"]) {
        assert_eq!((&line["verdict"], &line["direction"]), (&verdict.into(), &"egress".into()));
        assert_eq!(line["destination_identity"], CLIENT);
    }
    assert_eq!(server.received(), "hello\nhello\n");

    // Edited, it judges the same connection anew.
    pod.agent.policy("2", &egress(vec![l7(port, CLIENT, &["bye"])]));
    pod.agent.acked(Kind::Policies, "2").await;
    app.send("hello\nbye\n").await;
    app.expect("denied\nok bye\n").await;
}

#[tokio::test]
async fn one_directions_rules_say_nothing_of_the_other() {
    let server = LineServer::start().await;
    let port = server.address.port();
    let mut pod = Pod::start(server.address).await;
    let mut only_in = policy(vec![anybody(port)]);
    only_in.egress_per_port_policies = vec![l4(port, 2002)];
    pod.agent.policy("1", &only_in);
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    pod.connect_out().await.expect_reset().await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;

    pod.agent.policy("2", &egress(vec![anybody(port)]));
    pod.agent.acked(Kind::Policies, "2").await;
    let mut app = pod.connect_out().await;
    app.send("hello\n").await;
    app.expect("ok hello\n").await;
}

#[tokio::test]
async fn a_connection_that_policy_revokes_is_cut() {
    let server = LineServer::start().await;
    let port = server.address.port();
    let mut pod = Pod::ready_to_go_out(server.address, vec![l4(port, CLIENT)]).await;
    let mut app = pod.connect_out().await;
    app.send("hello\n").await;
    app.expect("ok hello\n").await;
    pod.agent.policy("2", &egress(vec![]));
    app.expect_reset().await;
    let line = pod.line().await;
    assert_eq!((&line["error"], &line["direction"]), (&"policy-changed".into(), &"egress".into()));

    pod.agent.policy("3", &egress(vec![l4(port, CLIENT)]));
    pod.agent.acked(Kind::Policies, "3").await;
    let mut app = pod.connect_out().await;
    app.send("hello\n").await;
    app.expect("ok hello\n").await;
    // Its address is somebody else's now.
    pod.agent.hosts("4", &hosts(2002));
    app.expect_reset().await;
}

#[tokio::test]
async fn a_server_of_whom_nothing_is_known_yet_is_waited_for() {
    let server = LineServer::start().await;
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(server.address);
        config.unknown_wait = Duration::from_secs(60);
    })
    .await;
    pod.agent.policy("1", &egress(vec![l4(server.address.port(), CLIENT)]));
    pod.agent.hosts("1", &[unknown()]);
    pod.agent.acked(Kind::Policies, "1").await;
    let mut app = pod.connect_out().await;
    app.send("hello\n").await;
    until("it to wait", || async { pod.metric("remora_connections_waiting").await == 1 }).await;
    assert_eq!(server.connections(), 0);
    let [known] = hosts(CLIENT);
    pod.agent.hosts("2", &[unknown(), known]);
    app.expect("ok hello\n").await;
}

#[tokio::test]
async fn a_server_that_stays_unknown_is_denied_by_that_name() {
    let server = LineServer::start().await;
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(server.address);
        config.unknown_wait = Duration::from_millis(50);
    })
    .await;
    pod.agent.policy("1", &egress(vec![l4(server.address.port(), CLIENT)]));
    pod.agent.hosts("1", &[unknown()]);
    pod.agent.acked(Kind::Policies, "1").await;
    pod.connect_out().await.expect_reset().await;
    let line = pod.line().await;
    assert_eq!(
        (&line["error"], &line["direction"]),
        (&"identity-unknown".into(), &"egress".into())
    );
    assert_eq!(line["destination_identity"], serde_json::Value::Null);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_is_down_for_the_app() {
    let (address, _held) = silent_port();
    let mut pod = Pod::ready_to_go_out(address, vec![l4(address.port(), CLIENT)]).await;
    pod.connect_out().await.expect_reset().await;
    assert_eq!(pod.line().await["error"], "server-unreachable");
}

#[tokio::test]
async fn who_dials_the_listener_itself_gets_nowhere() {
    let mut pod = Pod::with(OriginalDestination::Kernel, Duration::from_secs(5)).await;
    pod.agent.policy("1", &egress(vec![unrestricted()]));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    pod.connect_out().await.expect_reset().await;
    let line = pod.line().await;
    // The latter where the kernel has no connection tracking at all.
    let error = line["error"].as_str().unwrap();
    assert!(error == "client-not-redirected" || error == "config-redirection", "{error}");
    assert_eq!(line["direction"], "egress");
}
