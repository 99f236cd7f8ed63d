//! What peers may cost, at each limit and one beyond.

use std::{fmt::Write as _, time::Duration};

use remora_sidecar::{config::OriginalDestination, limits::Limits};
use tokio::time::Instant;

use crate::support::{
    CLIENT, Client, Kind, LineServer, Pod, anybody, hosts, l4, l7, policy, until,
};

const SHORT: Duration = Duration::from_millis(150);

/// A sidecar with limits of its own, in which these port policies are in force.
async fn limited(
    app: &LineServer,
    ports: Vec<remora_api::cilium::PortNetworkPolicy>,
    change: impl FnOnce(&mut Limits),
) -> Pod {
    let address = app.address;
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(address);
        change(&mut config.limits);
    })
    .await;
    pod.agent.policy("1", &policy(ports));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    pod
}

/// The next line of the log that tells of a connection's end.
async fn end(pod: &mut Pod) -> String {
    loop {
        let line = pod.line().await;
        if let Some(error) = line["error"].as_str() {
            return error.to_owned();
        }
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_has_its_time() {
    let app = LineServer::start().await;
    let ports = vec![l7(app.address.port(), CLIENT, &["hello"])];
    let mut pod = limited(&app, ports, |limits| limits.first_byte = SHORT).await;
    let (mut silent, begun) = (pod.connect().await, Instant::now());
    silent.rest().await.1.unwrap();
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    assert_eq!(end(&mut pod).await, "client-slow");
    // One that has spoken may then be silent.
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    tokio::time::sleep(2 * SHORT).await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
}

#[tokio::test]
async fn what_was_begun_must_become_whole_however_it_drips() {
    let app = LineServer::start().await;
    let ports = vec![l7(app.address.port(), CLIENT, &["hello"])];
    let mut pod = limited(&app, ports, |limits| limits.frame = SHORT).await;
    let mut client = pod.connect().await;
    client.send("hello\nhel").await;
    client.expect("ok hello\n").await;
    let begun = Instant::now();
    let dripping = async {
        loop {
            client.send("l").await;
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::select! {
        ended = end(&mut pod) => assert_eq!(ended, "client-slow"),
        () = dripping => {}
    }
    assert!(begun.elapsed() < 20 * SHORT, "every byte bought it more time");
    assert_eq!(app.received(), "hello\n");
    // Whole lines, each slower than the deadline after the last, are no drip.
    let mut client = pod.connect().await;
    for _ in 0..3 {
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
        tokio::time::sleep(2 * SHORT).await;
    }
}

/// A request that waits for the reply before it is not slow: its server is.
#[tokio::test]
async fn a_client_that_is_kept_waiting_is_not_late() {
    let app = LineServer::start().await;
    let ports = vec![l7(app.address.port(), CLIENT, &["wait", "hello"])];
    let pod = limited(&app, ports, |limits| limits.frame = SHORT).await;
    let mut client = pod.connect().await;
    app.hold(true);
    // The denial has to wait for the reply, and what follows for the denial.
    client.send("wait\nbye\nhello\n").await;
    tokio::time::sleep(3 * SHORT).await;
    app.hold(false);
    client.expect("ok wait\ndenied\nok hello\n").await;
}

#[tokio::test]
async fn connections_on_which_nothing_happens_end() {
    let app = LineServer::start().await;
    let port = app.address.port();
    for ports in [vec![l4(port, CLIENT)], vec![l7(port, CLIENT, &["hello"])]] {
        let mut pod = limited(&app, ports, |limits| limits.idle = 3 * SHORT).await;
        let mut client = pod.connect().await;
        for _ in 0..4 {
            client.send("hello\n").await;
            client.expect("ok hello\n").await;
            tokio::time::sleep(SHORT).await;
        }
        let (rest, _) = client.rest().await;
        assert_eq!(rest, "");
        assert_eq!(end(&mut pod).await, "peer-idle");
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_connections_and_one_more_is_turned_away() {
    let app = LineServer::start().await;
    let ports = vec![anybody(app.address.port())];
    let mut pod = limited(&app, ports, |limits| limits.connections = 3).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = pod.connect().await;
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
        clients.push(client);
    }
    assert_eq!(pod.metric("remora_connections").await, 3);
    pod.connect().await.expect_reset().await;
    assert_eq!(end(&mut pod).await, "limit-connections");
    assert_eq!(app.connections(), 3, "the app heard nothing of it");
    drop(clients.pop());
    until("room", || async { pod.metric("remora_connections").await == 2 }).await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    assert_eq!(pod.metric("remora_connections").await, 3);
}

#[tokio::test]
async fn one_client_may_not_take_everybodys_room() {
    let app = LineServer::start().await;
    let ports = vec![anybody(app.address.port())];
    let mut pod = limited(&app, ports, |limits| limits.per_source = 2).await;
    let mut clients = vec![pod.connect().await, pod.connect().await];
    for client in &mut clients {
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
    }
    pod.connect().await.expect_reset().await;
    assert_eq!(end(&mut pod).await, "limit-source");
    let mut other = Client::connect("127.0.0.3", pod.addresses.inbound).await;
    other.send("hello\n").await;
    other.expect("ok hello\n").await;
}

#[tokio::test]
async fn so_many_denials_a_second_are_answered_and_one_more_ends_the_connection() {
    const MOST: usize = 500;
    let app = LineServer::start().await;
    let ports = vec![l7(app.address.port(), CLIENT, &["hello"])];
    let mut pod = limited(&app, ports, |limits| limits.denials = MOST as u64).await;
    let mut client = pod.connect().await;
    client.send(&"bye\n".repeat(MOST)).await;
    client.expect(&"denied\n".repeat(MOST)).await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    let mut client = pod.connect().await;
    client.send(&"bye\n".repeat(4 * MOST)).await;
    assert!(client.rest().await.1.is_err(), "it goes on");
    assert_eq!(end(&mut pod).await, "client-flood");
}

#[tokio::test]
async fn held_bytes_have_a_budget_and_who_grows_beyond_it_ends() {
    const CONNECTION: usize = 8 << 10;
    const ROOM: usize = 4 * CONNECTION;
    let app = LineServer::start().await;
    let ports = vec![l7(app.address.port(), CLIENT, &["hello"])];
    let mut pod = limited(&app, ports, |limits| limits.held = ROOM).await;
    let mut small = pod.connect().await;
    small.send("hello\n").await;
    small.expect("ok hello\n").await;
    let mut large = pod.connect().await;
    // A line without an end, exactly as long as there is room for.
    let mut line = String::new();
    let _ = write!(line, "{:a<1$}", "", ROOM - 2 * CONNECTION);
    large.send(&line).await;
    until("the budget to be used up", || async {
        pod.metric("remora_held_bytes").await == ROOM as u64
    })
    .await;
    large.send("a").await;
    assert!(large.rest().await.1.is_err(), "it goes on");
    assert_eq!(end(&mut pod).await, "limit-memory");
    small.send("hello\n").await;
    small.expect("ok hello\n").await;
}
