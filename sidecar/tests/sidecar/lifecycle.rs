//! Start and stop.

use std::{io, net::SocketAddr, time::Duration};

use remora_sidecar::{App, Config, StartError, config::OriginalDestination};
use tokio::net::TcpStream;

use crate::support::{CLIENT, LineServer, Pod, hosts, l7, policy, until};

async fn refuses(inbound: SocketAddr) {
    until("new connections to be refused", || async {
        TcpStream::connect(inbound)
            .await
            .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    })
    .await;
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_finish_and_ends_what_is_idle() {
    let app = LineServer::start().await;
    let mut pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let (mut idle, mut busy) = (pod.connect().await, pod.connect().await);
    for client in [&mut idle, &mut busy] {
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
    }
    app.hold(true);
    busy.send("hello\nbye\nhello\n").await;
    until("the request to arrive", || async { app.received().ends_with("hello\nhello\nhello\n") })
        .await;
    pod.stop();
    refuses(pod.addresses.inbound).await;
    let (rest, end) = idle.rest().await;
    assert_eq!(rest, "");
    end.unwrap();
    app.hold(false);
    let (rest, end) = busy.rest().await;
    assert_eq!(rest, "ok hello\ndenied\nok hello\n", "then the connection ends, between requests");
    end.unwrap();
    let log = pod.stopped().await;
    assert_eq!(log.len(), 5, "every line is written before it stops: {log:?}");
}

#[tokio::test]
async fn a_stop_waits_for_nobody_beyond_its_bound() {
    let app = LineServer::start().await;
    let short = Duration::from_millis(50);
    let mut pod = Pod::with(OriginalDestination::Fixed(app.address), short).await;
    pod.agent.policy("1", &policy(vec![l7(app.address.port(), CLIENT, &["hello"])]));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(crate::support::Kind::Policies, "1").await;
    let mut waiting = pod.connect().await;
    app.hold(true);
    waiting.send("hello\n").await;
    until("the request to arrive", || async { app.received() == "hello\n" }).await;
    let log = pod.stop_and_read_log().await;
    waiting.expect_reset().await;
    assert_eq!(log.last().unwrap()["error"], "internal-stopped");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::read(|name| {
        let value = match name {
            "REMORA_AGENT" => "unix:/run/remora/agent.sock",
            "REMORA_POD_IPS" => "10.0.0.1",
            "REMORA_INBOUND_PORT" | "REMORA_METRICS_PORT" | "REMORA_HEALTH_PORT" => "0",
            "REMORA_ADMIN_PORT" => return Some(taken.local_addr().unwrap().port().to_string()),
            "REMORA_POD_NAME" | "REMORA_POD_NAMESPACE" | "REMORA_POD_UID" => "x",
            _ => return None,
        };
        Some(value.to_owned())
    });
    let registry = remora_parsers::Registry::new(&[]);
    let error = App::new(config.unwrap(), registry).bind().await.unwrap_err();
    assert!(matches!(error, StartError::Listen { what: "admin", .. }));
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}
