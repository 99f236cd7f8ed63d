//! What one caller does, others do not notice: connections, streams, slices,
//! answers, in numbers and sizes that nobody honest needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use remora_agent::server::tcp::Limits;
use remora_agent::world::PodSlice;
use remora_api::MAX_MESSAGE_BYTES;
use remora_api::cilium::NetworkPolicyHosts;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::common::{PATIENCE, Stream, eventually};
use crate::stage::{Agent, NAME, crew, key, limits, slice};

/// A connection from another address of this host.
async fn connect_from(agent: &Agent, source: &str) -> Channel {
    let (address, bundle) = (agent.address, agent.bundle());
    let source: SocketAddr = format!("{source}:0").parse().expect("an address");
    let connector = tower::service_fn(move |_| {
        let bundle = bundle.clone();
        async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind(source)?;
            let stream = socket.connect(address).await?;
            let config = remora_certs::client_config(&bundle).expect("a configuration");
            let name = ServerName::try_from(NAME).expect("a name");
            TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://agent")
        .connect_with_connector(connector)
        .await
        .expect("connected")
}

/// Waits until the other end closes.
async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let end = async {
        let mut bytes = [0; 1024];
        while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    tokio::time::timeout(PATIENCE, end).await.expect("closed");
}

/// The pod is still told what is new.
async fn assert_told(agent: &Agent, stream: &mut Stream, address: &str) {
    let mut slices = crew();
    slices.insert(key("leia"), slice("uid-leia", address, (300, "10.0.9.1")));
    agent.publish(slices);
    stream.accept().await;
}

async fn leia(agent: &Agent) -> Stream {
    let channel = connect_from(agent, "127.0.0.2").await;
    let mut stream = Stream::policies_as(&channel, &["Bearer leia"]).await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;
    stream
}

#[tokio::test]
async fn who_does_not_shake_hands_or_show_a_token_is_closed() {
    let agent = Agent::start(limits()).await;
    let since = Instant::now();
    let mut silent = TcpStream::connect(agent.address).await.expect("connected");
    let mut nameless = agent.shake().await.expect("a handshake");
    closed(&mut silent).await;
    closed(&mut nameless).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());

    // Who has a stream may stay.
    let channel = agent.connect().await.expect("connected");
    let mut stream = Stream::policies_as(&channel, &["Bearer droid"]).await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;
    assert!(stream.is_silent_for(limits().idle * 2).await, "it is open still");
    agent.stop().await;
}

#[tokio::test]
async fn strangers_are_few_and_those_let_in_do_not_count_among_them() {
    let few = Limits {
        strangers: 64,
        strangers_per_source: 4,
        handshake: Duration::from_secs(5),
        idle: Duration::from_secs(60),
        ..limits()
    };
    let agent = Agent::start(few).await;
    let mut open = Vec::new();
    for _ in 0..6 {
        let channel = agent.connect().await.expect("connected");
        open.push(Stream::policies_as(&channel, &["Bearer droid"]).await.expect("let in"));
    }
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(TcpStream::connect(agent.address).await.expect("connected"));
    }
    let mut fifth = TcpStream::connect(agent.address).await.expect("connected");
    closed(&mut fifth).await;
    leia(&agent).await;
    drop(strangers.pop());
    eventually("a place", || async { agent.connect().await.ok() }).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_thousand_strangers_keep_nobody_out() {
    let agent = Agent::start(limits()).await;
    let mut stream = leia(&agent).await;
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(TcpStream::connect(agent.address).await.expect("connected"));
    }
    assert_told(&agent, &mut stream, "10.0.0.3").await;
    drop(leia(&agent).await);
    drop(crowd);
    agent.stop().await;
}

#[tokio::test]
async fn a_pod_that_opens_streams_without_end_is_stopped() {
    let agent = Agent::start(limits()).await;
    let mut other = leia(&agent).await;
    let channel = agent.connect().await.expect("connected");
    let refusal = async {
        loop {
            match Stream::policies_as(&channel, &["Bearer droid"]).await {
                Ok(stream) => drop(stream),
                Err(status) => return status,
            }
        }
    };
    let refusal = tokio::time::timeout(PATIENCE, refusal).await.expect("an end");
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert_told(&agent, &mut other, "10.0.0.3").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_pod_has_so_many_connections_and_no_more() {
    let agent = Agent::start(limits()).await;
    let (mut open, mut channels) = (Vec::new(), Vec::new());
    let refusal = async {
        loop {
            let channel = agent.connect().await.expect("connected");
            channels.push(channel.clone());
            match Stream::policies_as(&channel, &["Bearer droid"]).await {
                Ok(stream) => open.push(stream),
                Err(status) => return status,
            }
        }
    };
    let refusal = tokio::time::timeout(PATIENCE, refusal).await.expect("an end");
    assert_eq!((refusal.code(), open.len()), (Code::ResourceExhausted, 8), "{refusal:?}");
    leia(&agent).await;

    // Connections whose streams have ended are closed, and their places are free again.
    open.clear();
    let again = || async {
        let channel = agent.connect().await.ok()?;
        Stream::policies_as(&channel, &["Bearer droid"]).await.ok()
    };
    eventually("a place", again).await;
    agent.stop().await;
}

#[tokio::test]
async fn who_listens_slowly_hears_the_latest_and_delays_nobody() {
    let agent = Agent::start(limits()).await;
    let mut other = leia(&agent).await;
    let channel = agent.connect().await.expect("connected");
    let mut slow = Stream::hosts_as(&channel, &["Bearer droid"]).await.expect("let in");
    slow.subscribe().await;
    let huge = |number: usize| {
        let last = format!("10.1.{}.{}", number / 200, number % 200 + 1);
        let mut host_addresses = vec!["10.255.255.255".to_owned(); 60_000];
        host_addresses.push(last);
        let hosts = Arc::new(vec![NetworkPolicyHosts { policy: 300, host_addresses }]);
        let before = slice("uid-droid", "10.0.0.1", (300, "10.0.9.1"));
        Arc::new(PodSlice { hosts, ..PodSlice::clone(&before) })
    };
    for number in 0..50 {
        let mut slices = crew();
        slices.insert(key("droid"), huge(number));
        slices
            .insert(key("leia"), slice("uid-leia", &format!("10.2.0.{number}"), (300, "10.0.9.1")));
        let since = Instant::now();
        agent.publish(slices);
        other.accept().await;
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    }
    let newest = format!("10.1.0.{}", 50);
    let mut heard = 0;
    let found = async {
        loop {
            let response = slow.accept().await;
            heard += 1;
            let hosts: Vec<NetworkPolicyHosts> = crate::common::resources(&response);
            if hosts[0].host_addresses.last() == Some(&newest) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the latest");
    assert!(heard < 25, "{heard} of 50");
    agent.stop().await;
}

#[tokio::test]
async fn a_slice_too_large_to_send_is_not_sent_and_the_last_one_stays() {
    let agent = Agent::start(limits()).await;
    let channel = agent.connect().await.expect("connected");
    let mut hosts = Stream::hosts_as(&channel, &["Bearer droid"]).await.expect("let in");
    hosts.subscribe().await;
    let of_bytes = |bytes: usize| {
        let host_addresses = vec!["10.255.255.255".to_owned(); bytes / 16];
        let own = vec![NetworkPolicyHosts { policy: 300, host_addresses }];
        let before = slice("uid-droid", "10.0.0.1", (300, "10.0.9.1"));
        let slice = PodSlice { hosts: Arc::new(own), ..PodSlice::clone(&before) };
        let mut slices = crew();
        slices.insert(key("droid"), Arc::new(slice));
        slices
    };
    hosts.accept().await;
    agent.publish(of_bytes(MAX_MESSAGE_BYTES - 8192));
    hosts.accept().await;
    agent.publish(of_bytes(MAX_MESSAGE_BYTES + 1024));
    assert!(hosts.is_silent_for(Duration::from_millis(300)).await);
    let mut other = leia(&agent).await;
    assert_told(&agent, &mut other, "10.0.0.3").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_refused_version_is_not_repeated_however_often_it_is_refused() {
    let agent = Agent::start(limits()).await;
    let mut other = leia(&agent).await;
    let channel = agent.connect().await.expect("connected");
    let mut stream = Stream::policies_as(&channel, &["Bearer droid"]).await.expect("let in");
    stream.subscribe().await;
    let poison = stream.next().await.expect("a response");
    for _ in 0..200 {
        stream.answer(&poison, Some("no")).await;
        stream.subscribe().await;
    }
    assert!(stream.is_silent_for(Duration::from_millis(500)).await);
    for _ in 0..20 {
        let mut again = Stream::policies_as(&channel, &["Bearer droid"]).await.expect("let in");
        again.subscribe().await;
        assert!(again.is_silent_for(Duration::from_millis(20)).await);
    }
    let metrics = agent.metrics();
    assert!(metrics.contains("{type=\"policy\",result=\"refused\"} 1\n"), "{metrics}");
    assert!(metrics.contains("{type=\"policy\",result=\"sent\"} 2\n"), "{metrics}");
    assert_told(&agent, &mut other, "10.0.0.3").await;
    agent.stop().await;
}
