//! Connections to services, which are about their backends. Every server has an
//! address of its own on loopback, and so an identity; the service's address
//! has none.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use remora_api::{
    cilium::{NetworkPolicyHosts, PortNetworkPolicy},
    services::{Backend, Service, ServicePort},
};

use crate::support::{Client, Kind, LineServer, Pod, anybody, egress, l4, l7, unknown, until};

/// What the app dials: nobody listens there.
const SERVICE: &str = "127.96.0.1:80";

const RED: u32 = 2001;
const BLUE: u32 = 2002;

/// Two servers behind one service, told to a sidecar.
struct Stage {
    pod: Pod,
    red: LineServer,
    blue: LineServer,
}

impl Stage {
    async fn set(ports: impl Fn(u16, u16) -> Vec<PortNetworkPolicy>) -> Self {
        let red = LineServer::at("127.1.0.1:0").await;
        let blue = LineServer::at("127.1.0.2:0").await;
        let mut pod = Pod::dialling(SERVICE.parse().unwrap()).await;
        pod.agent.policy("1", &egress(ports(red.address.port(), blue.address.port())));
        pod.agent.hosts("1", &known());
        pod.agent.services("1", &[service(&[red.address, blue.address])]);
        pod.agent.acked(Kind::Services, "1").await;
        Self { pod, red, blue }
    }

    /// Whom each of so many connections got to.
    async fn servers(&mut self, connections: usize) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for _ in 0..connections {
            let before = [self.red.connections(), self.blue.connections()];
            let mut app = self.pod.connect_out().await;
            greets(&mut app).await;
            app.end().await;
            app.rest().await.1.unwrap();
            let after = [self.red.connections(), self.blue.connections()];
            servers.push(match [after[0] - before[0], after[1] - before[1]] {
                [1, 0] => self.red.address,
                [0, 1] => self.blue.address,
                other => panic!("{other:?}"),
            });
        }
        servers
    }
}

async fn greets(app: &mut Client) {
    app.send("hello\n").await;
    app.expect("ok hello\n").await;
}

fn service(backends: &[SocketAddr]) -> Service {
    let service: SocketAddr = SERVICE.parse().unwrap();
    let backend =
        |one: &SocketAddr| Backend { address: one.ip().to_string(), port: one.port().into() };
    let backends = backends.iter().map(backend).collect();
    Service {
        namespace: "default".into(),
        name: "cart".into(),
        addresses: vec![service.ip().to_string()],
        ports: vec![ServicePort { port: service.port().into(), backends }],
        affinity_seconds: 0,
    }
}

fn host(identity: u32, address: &str) -> NetworkPolicyHosts {
    NetworkPolicyHosts { policy: identity.into(), host_addresses: vec![address.into()] }
}

/// Everybody on loopback is of the cluster; two are known.
fn known() -> Vec<NetworkPolicyHosts> {
    vec![unknown(), host(RED, "127.1.0.1"), host(BLUE, "127.1.0.2")]
}

#[tokio::test]
async fn a_service_is_judged_by_its_backends_and_their_ports() {
    // The port that is dialled is not the backend's, and no rule is about it.
    let mut stage = Stage::set(|red, blue| vec![l4(red, RED), l4(blue, BLUE)]).await;
    let servers: BTreeSet<_> = stage.servers(64).await.into_iter().collect();
    assert_eq!(servers, [stage.red.address, stage.blue.address].into(), "both have their share");
}

#[tokio::test]
async fn only_backends_that_are_allowed_are_dialled() {
    let mut stage = Stage::set(|red, blue| vec![l4(red, RED), l4(blue, RED)]).await;
    let servers = stage.servers(32).await;
    assert!(servers.iter().all(|server| *server == stage.red.address), "{servers:?}");
    assert_eq!(stage.blue.connections(), 0);

    // Where none is, none is, whatever a rule says of the service's own port.
    let everybody = egress(vec![anybody(80), l4(stage.red.address.port(), BLUE)]);
    stage.pod.agent.policy("2", &everybody);
    stage.pod.agent.acked(Kind::Policies, "2").await;
    stage.pod.connect_out().await.expect_reset().await;
    let line = stage.pod.line().await;
    assert_eq!((&line["error"], &line["destination"]), (&"policy-denied".into(), &SERVICE.into()));
    let backend = line["backend"].as_str().unwrap();
    let both = [stage.red.address.to_string(), stage.blue.address.to_string()];
    assert!(both.contains(&backend.to_owned()), "{line}");
}

#[tokio::test]
async fn requests_to_a_service_are_judged_by_the_backend_they_go_to() {
    let mut stage = Stage::set(|red, blue| {
        vec![l7(red, RED, &["hello", "red"]), l7(blue, BLUE, &["hello", "blue"])]
    })
    .await;
    for _ in 0..16 {
        let reds = stage.red.connections();
        let mut app = stage.pod.connect_out().await;
        app.send("hello\nred\nblue\n").await;
        app.expect("ok hello\n").await;
        let is_red = stage.red.connections() > reds;
        app.expect(if is_red { "ok red\ndenied\n" } else { "denied\nok blue\n" }).await;
    }
    assert!(!stage.red.received().contains("blue") && !stage.blue.received().contains("red"));
    let line = stage.pod.line().await;
    assert!(line["backend"].is_string() && line["destination"] == SERVICE, "{line}");
}

#[tokio::test]
async fn a_client_keeps_its_backend_where_it_is_to() {
    let mut stage = Stage::set(|red, blue| vec![l4(red, RED), l4(blue, BLUE)]).await;
    let backends = [stage.red.address, stage.blue.address];
    let sticky = Service { affinity_seconds: 10_800, ..service(&backends) };
    stage.pod.agent.services("2", std::slice::from_ref(&sticky));
    stage.pod.agent.acked(Kind::Services, "2").await;
    let servers = stage.servers(16).await;
    let kept = servers[0];
    assert!(servers.iter().all(|server| *server == kept), "{servers:?}");
    // One that policy forbids is not kept to.
    let (other, identity) = if kept == stage.red.address {
        (stage.blue.address, BLUE)
    } else {
        (stage.red.address, RED)
    };
    stage.pod.agent.policy("2", &egress(vec![l4(other.port(), identity)]));
    stage.pod.agent.acked(Kind::Policies, "2").await;
    let servers = stage.servers(4).await;
    assert!(servers.iter().all(|server| *server == other), "{servers:?}");
}

#[tokio::test]
async fn nobody_behind_a_service_is_nobody() {
    let mut stage = Stage::set(|red, _| vec![l4(red, RED), anybody(80)]).await;
    let mut other_port = service(&[stage.red.address]);
    other_port.ports[0].port = 81;
    for (version, services) in [("2", service(&[])), ("3", other_port)] {
        stage.pod.agent.services(version, &[services]);
        stage.pod.agent.acked(Kind::Services, version).await;
        stage.pod.connect_out().await.expect_reset().await;
        let line = stage.pod.line().await;
        assert_eq!(line["error"], "server-unreachable");
        assert!(line["reason"].as_str().unwrap().contains("nobody stands behind"), "{line}");
    }
}

#[tokio::test]
async fn the_ports_of_a_node_that_are_no_services_are_the_nodes() {
    let mut stage = Stage::set(|red, _| vec![l4(red, RED), l4(80, BLUE)]).await;
    // A node port beside what is dialled, at an address that has an identity.
    let mut node_port = service(&[stage.red.address]);
    node_port.ports[0].port = 30_080;
    stage.pod.agent.services("2", &[node_port]);
    stage.pod.agent.acked(Kind::Services, "2").await;
    let mut hosts = known();
    hosts.push(host(BLUE, "127.96.0.1"));
    stage.pod.agent.hosts("2", &hosts);
    stage.pod.agent.acked(Kind::Hosts, "2").await;
    stage.pod.connect_out().await.expect_reset().await;
    // Allowed, and nobody listens there.
    let line = stage.pod.line().await;
    assert_eq!(line["error"], "server-unreachable");
    assert_eq!(line["destination_identity"], BLUE);
    assert!(!line["reason"].as_str().unwrap().contains("nobody stands behind"), "{line}");
}

#[tokio::test]
async fn a_backend_of_whom_nothing_is_known_yet_is_waited_for() {
    let mut stage = Stage::set(|red, _| vec![l4(red, RED)]).await;
    stage.pod.agent.hosts("2", &[unknown()]);
    stage.pod.agent.acked(Kind::Hosts, "2").await;
    let mut app = stage.pod.connect_out().await;
    app.send("hello\n").await;
    let waiting = || async { stage.pod.metric("remora_connections_waiting").await == 1 };
    until("it to wait", waiting).await;
    stage.pod.agent.hosts("3", &known());
    app.expect("ok hello\n").await;
    assert_eq!((stage.red.connections(), stage.blue.connections()), (1, 0));
}

#[tokio::test]
async fn a_service_that_is_not_known_yet_is_waited_for() {
    let mut stage = Stage::set(|red, _| vec![l4(red, RED)]).await;
    stage.pod.agent.services("2", &[]);
    stage.pod.agent.acked(Kind::Services, "2").await;
    let mut app = stage.pod.connect_out().await;
    app.send("hello\n").await;
    let waiting = || async { stage.pod.metric("remora_connections_waiting").await == 1 };
    until("it to wait", waiting).await;
    stage.pod.agent.services("3", &[service(&[stage.blue.address, stage.red.address])]);
    app.expect("ok hello\n").await;
    assert_eq!((stage.red.connections(), stage.blue.connections()), (1, 0));
}

#[tokio::test]
async fn a_backend_that_leaves_its_service_keeps_its_connections() {
    let mut stage = Stage::set(|red, _| vec![l4(red, RED)]).await;
    let mut app = stage.pod.connect_out().await;
    greets(&mut app).await;
    stage.pod.agent.services("2", &[service(&[stage.blue.address])]);
    stage.pod.agent.acked(Kind::Services, "2").await;
    greets(&mut app).await;
    stage.pod.connect_out().await.expect_reset().await;
    // Policy, on the other hand, ends them.
    stage.pod.agent.policy("2", &egress(vec![]));
    app.expect_reset().await;
}

#[tokio::test]
async fn nothing_applies_before_the_services_are_there() {
    let mut pod = Pod::dialling(SERVICE.parse().unwrap()).await;
    pod.agent.policy("1", &egress(vec![anybody(80)]));
    pod.agent.hosts("1", &known());
    pod.says("it has sent no services yet").await;
    pod.connect_out().await.expect_reset().await;
    assert_eq!(pod.line().await["policy_version"], "");
    pod.agent.services("1", &[]);
    pod.agent.acked(Kind::Services, "1").await;
    assert_eq!(pod.not_ready().await, None);
}

#[tokio::test]
async fn services_that_make_no_sense_are_refused_and_the_old_ones_stay() {
    let mut stage = Stage::set(|red, _| vec![l4(red, RED)]).await;
    while tokio::time::timeout(Duration::ZERO, stage.pod.agent.answer()).await.is_ok() {}
    let mut wrong = service(&[stage.red.address]);
    wrong.ports[0].backends[0].port = 70_000;
    stage.pod.agent.services("2", &[wrong]);
    let (message, request) = stage.pod.agent.nacked(Kind::Services).await;
    assert!(message.contains("service default/cart: 70000 is no port"), "{message}");
    assert_eq!(request.version_info, "1");
    let mut app = stage.pod.connect_out().await;
    greets(&mut app).await;
}
