//! A policy that is flipped ten times a second while clients never stop. What
//! the sidecar acknowledges it enforces: from the ACK of a version that denies
//! to the next one that allows, nothing begins that reaches the server.
//!
//! The criterion, exactly. A word counts as let through wrongly if its client
//! began to send it after the agent had read the ACK of a denying version, and
//! the server read it before the agent began to send the next version. Both
//! moments err to the sidecar's advantage by the time that a message takes on
//! its way, and by nothing else. A word that was on its way at the ACK may
//! arrive after it: it was judged by the version that was in force then, which
//! the access log says of each request.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use remora_api::cilium::{NetworkPolicy, NetworkPolicyHosts, PortNetworkPolicy};

use crate::support::{
    CLIENT, Client, Kind, Load, Pod, Recorder, egress, hosts, l4, l7, policy, until, within,
};

/// Between two flips.
const PERIOD: Duration = Duration::from_millis(100);

/// Flips of an ordinary run, and of a long one.
const FLIPS: [usize; 2] = [15, 600];

const CLIENTS: usize = 2;

/// What is flipped.
struct Flip {
    allows: State,
    denies: State,
}

#[derive(Clone)]
enum State {
    Policy(NetworkPolicy),
    Hosts([NetworkPolicyHosts; 1]),
}

fn flips() -> usize {
    FLIPS[usize::from(std::env::var_os("REMORA_FULL").is_some())]
}

/// Flips under load and finds no word that was let through wrongly.
async fn run(app: &Recorder, pod: &mut Pod, door: SocketAddr, flip: Flip) {
    let load = Load::start(door, CLIENTS);
    let mut denied: Vec<(Instant, Instant)> = Vec::new();
    let mut pace = tokio::time::interval(PERIOD);
    for number in 0..flips() {
        say(pod, &flip.denies, &format!("deny-{number}")).await;
        let acked = Instant::now();
        let attempts = load.attempts();
        pace.tick().await;
        until("attempts while it denies", || async { load.attempts() > attempts }).await;
        denied.push((acked, Instant::now()));

        say(pod, &flip.allows, &format!("allow-{number}")).await;
        let count = app.count();
        pace.tick().await;
        until("words while it allows", || async { app.count() > count }).await;
        forwarded_by_versions_that_allow(pod);
    }
    let sent = tokio::task::spawn_blocking(|| load.stop()).await.unwrap();
    let came = app.came();
    let began = |word: &str| *sent.get(word).unwrap_or_else(|| panic!("nobody sent `{word}`"));
    let wrong: Vec<_> = came
        .iter()
        .filter(|(word, at)| denied.iter().any(|(acked, end)| began(word) > *acked && at < end))
        .collect();
    println!("{} words came of {} that were sent, in {} flips", came.len(), sent.len(), flips());
    assert!(wrong.is_empty(), "{} words were let through wrongly", wrong.len());
}

/// By the log, too, no request passes by a version that denies. What was lost
/// because of so many is said by a line without a version.
fn forwarded_by_versions_that_allow(pod: &mut Pod) {
    for line in pod.lines_so_far() {
        let version = line["policy_version"].as_str().unwrap_or_default();
        assert!(line["verdict"] != "FORWARDED" || !version.contains("deny"), "{line}");
    }
}

/// Tells a state and waits until it is acknowledged.
async fn say(pod: &mut Pod, state: &State, version: &str) {
    let kind = match state {
        State::Policy(policy) => {
            pod.agent.policy(version, policy);
            Kind::Policies
        }
        State::Hosts(hosts) => {
            pod.agent.hosts(version, hosts);
            Kind::Hosts
        }
    };
    pod.agent.acked(kind, version).await;
}

/// The door of either direction, and the policy that is about it.
type Direction = (fn(&Pod) -> SocketAddr, fn(Vec<PortNetworkPolicy>) -> NetworkPolicy);

const INGRESS: Direction = (|pod| pod.addresses.inbound, policy);
const EGRESS: Direction = (|pod| pod.addresses.outbound[0], egress);

async fn flip_policy((door, policy): Direction, rules: fn(u16) -> [Vec<PortNetworkPolicy>; 2]) {
    let app = Recorder::start();
    let [allows, denies] = rules(app.address.port()).map(policy);
    let mut pod = Pod::start(app.address).await;
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.policy("allow", &allows);
    pod.agent.acked(Kind::Policies, "allow").await;
    let door = door(&pod);
    let flip = Flip { allows: State::Policy(allows), denies: State::Policy(denies) };
    run(&app, &mut pod, door, flip).await;
}

fn connections(port: u16) -> [Vec<PortNetworkPolicy>; 2] {
    [vec![l4(port, CLIENT)], vec![l4(port, 2002)]]
}

fn requests(port: u16) -> [Vec<PortNetworkPolicy>; 2] {
    [vec![l7(port, CLIENT, &[])], vec![l7(port, CLIENT, &["nothing"])]]
}

/// From bytes that nobody looks at to requests that are judged.
fn filters(port: u16) -> [Vec<PortNetworkPolicy>; 2] {
    [vec![l4(port, CLIENT)], vec![l7(port, CLIENT, &["nothing"])]]
}

#[tokio::test]
async fn no_connection_is_served_after_the_ack_that_denies_it() {
    flip_policy(INGRESS, connections).await;
}

#[tokio::test]
async fn no_connection_goes_out_after_the_ack_that_denies_it() {
    flip_policy(EGRESS, connections).await;
}

#[tokio::test]
async fn no_request_is_served_after_the_ack_that_denies_it() {
    flip_policy(INGRESS, requests).await;
}

#[tokio::test]
async fn no_request_goes_out_after_the_ack_that_denies_it() {
    flip_policy(EGRESS, requests).await;
}

#[tokio::test]
async fn no_byte_goes_unseen_after_the_ack_of_a_filter() {
    flip_policy(INGRESS, filters).await;
}

#[tokio::test]
async fn no_connection_outlives_the_ack_that_its_peer_is_somebody_else() {
    let app = Recorder::start();
    let mut pod = Pod::start(app.address).await;
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.policy("1", &policy(vec![l4(app.address.port(), CLIENT)]));
    pod.agent.acked(Kind::Policies, "1").await;
    let flip = Flip { allows: State::Hosts(hosts(CLIENT)), denies: State::Hosts(hosts(2002)) };
    let door = pod.addresses.inbound;
    run(&app, &mut pod, door, flip).await;
}

/// The change falls between the decision and the moment from which it is
/// listened for, were it not listened for first.
#[tokio::test]
async fn a_change_while_the_server_is_dialled_is_not_missed() {
    // One connection waits to be accepted, and no more have room: the next is
    // made when its first packet is sent again, a second later.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let first = std::net::TcpStream::connect(address).unwrap();

    for (door, policy) in [INGRESS, EGRESS] {
        let mut pod = Pod::start(address).await;
        pod.agent.hosts("1", &hosts(CLIENT));
        pod.agent.policy("1", &policy(vec![l4(address.port(), CLIENT)]));
        pod.agent.acked(Kind::Policies, "1").await;
        let mut client = Client::connect("127.0.0.1", door(&pod)).await;
        client.send("hello\n").await;
        until("the sidecar to dial", || async { dials(address) }).await;
        pod.agent.policy("2", &policy(vec![]));
        pod.agent.acked(Kind::Policies, "2").await;
        let listener = listener.try_clone().unwrap();
        let accepted = tokio::task::spawn_blocking(move || {
            let waiting = listener.accept().unwrap();
            let (mut dialled, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let ended = std::io::Read::read_to_end(&mut dialled, &mut bytes);
            (waiting, bytes, ended)
        });
        client.expect_reset().await;
        assert_eq!(pod.line().await["error"], "policy-changed");
        let (_, bytes, _) = within("the server", accepted).await.unwrap();
        assert_eq!(bytes, b"", "not a byte comes through");
        // For the next round, somebody has to wait again.
        drop(std::net::TcpStream::connect(address).unwrap());
    }
    drop(first);
}

/// Whether a connection to `address` is being made: `SYN_SENT` is state 02.
fn dials(address: SocketAddr) -> bool {
    let port = format!(":{:04X} 02 ", address.port());
    std::fs::read_to_string("/proc/self/net/tcp").unwrap().contains(&port)
}
