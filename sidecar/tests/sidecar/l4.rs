//! Decisions on connections, before a byte is read.

use std::time::Duration;

use remora_sidecar::config::OriginalDestination;

use crate::support::{
    CLIENT, Client, Kind, LineServer, Pod, hosts, l4, l7, policy, silent_port, until,
};

#[tokio::test]
async fn before_any_policy_everything_is_denied() {
    let app = LineServer::start().await;
    let mut pod = Pod::start(app.address).await;
    pod.connect().await.expect_reset().await;
    let line = pod.line().await;
    assert_eq!(line["verdict"], "DROPPED");
    assert_eq!(line["policy_version"], "");
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_denied_connection_is_reset_and_the_app_hears_nothing_of_it() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let mut pod = Pod::ready(app.address, vec![l4(port, CLIENT)]).await;
    // 127.0.0.3 is nobody that policy knows.
    let mut client = Client::connect("127.0.0.3", pod.addresses.inbound).await;
    client.send("hello\n").await;
    client.expect_reset().await;
    let line = pod.line().await;
    assert_eq!(line["verdict"], "DROPPED");
    assert_eq!(line["error"], "policy-denied");
    assert_eq!(line["source_identity"], serde_json::Value::Null);
    assert_eq!(line["destination"], app.address.to_string());
    assert_eq!((app.connections(), app.received().as_str()), (0, ""));

    // The next one is none the worse for it.
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_allowed_connection_keeps_its_half_closes() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l4(app.address.port(), CLIENT)]).await;
    let mut client = pod.connect().await;
    client.send("any bytes at all\n").await;
    client.end().await;
    let (bytes, end) = client.rest().await;
    assert_eq!(bytes, "ok any bytes at all\n");
    end.unwrap();
    until("the app to see the end", || async { app.ended() == 1 }).await;
    assert!(pod.stop_and_read_log().await.is_empty());
}

#[tokio::test]
async fn a_connection_that_policy_revokes_is_cut() {
    let app = LineServer::start().await;
    let port = app.address.port();
    for (revoked, why) in [
        (vec![], "policy has changed: "),
        (vec![l7(port, CLIENT, &["hello"])], "has to be made anew"),
    ] {
        let mut pod = Pod::ready(app.address, vec![l4(port, CLIENT)]).await;
        let mut client = pod.connect().await;
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
        // A change that leaves it alone leaves it alone.
        pod.agent.policy("2", &policy(vec![l4(port, CLIENT), l4(1, CLIENT)]));
        pod.agent.acked(Kind::Policies, "2").await;
        client.send("again\n").await;
        client.expect("ok again\n").await;

        pod.agent.policy("3", &policy(revoked));
        client.expect_reset().await;
        let line = pod.line().await;
        assert_eq!(line["error"], "policy-changed");
        assert!(line["reason"].as_str().unwrap().contains(why), "{line}");
    }
}

#[tokio::test]
async fn a_connection_is_cut_when_its_peer_is_somebody_else_now() {
    let app = LineServer::start().await;
    let mut pod = Pod::ready(app.address, vec![l4(app.address.port(), CLIENT)]).await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    pod.agent.hosts("2", &hosts(2002));
    client.expect_reset().await;
    assert_eq!(pod.line().await["error"], "policy-changed");
}

#[tokio::test]
async fn an_app_that_is_down_is_down_for_its_clients() {
    let (address, _held) = silent_port();
    for ports in [vec![l4(address.port(), CLIENT)], vec![l7(address.port(), CLIENT, &[])]] {
        let mut pod = Pod::ready(address, ports).await;
        pod.connect().await.expect_reset().await;
        let line = pod.line().await;
        assert_eq!(
            (&line["verdict"], &line["error"]),
            (&"ERROR".into(), &"server-unreachable".into())
        );
        assert!(line["reason"].as_str().unwrap().contains("refused"), "{line}");
    }
}

#[tokio::test]
async fn a_connection_to_the_proxy_itself_is_refused() {
    let drain = Duration::from_secs(5);
    let mut pod = Pod::with(OriginalDestination::Kernel, drain).await;
    pod.agent.policy("1", &policy(vec![]));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    pod.connect().await.expect_reset().await;
    let error = pod.line().await["error"].clone();
    // The latter where the kernel has no connection tracking at all.
    assert!(error == "client-not-redirected" || error == "config-redirection", "{error}");
}

#[tokio::test]
async fn only_the_pods_own_addresses_are_dialled() {
    let app = LineServer::start().await;
    let elsewhere = std::net::SocketAddr::new("127.0.0.9".parse().unwrap(), app.address.port());
    let mut pod = Pod::ready(elsewhere, vec![l4(app.address.port(), CLIENT)]).await;
    pod.connect().await.expect_reset().await;
    let line = pod.line().await;
    assert_eq!(line["error"], "client-foreign-destination");
    assert_eq!(app.connections(), 0);
}
