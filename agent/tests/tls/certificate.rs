//! The server proves itself first: a token never goes to anybody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remora_certs::{Bundle, Ca, Serving, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::common::{PATIENCE, Stream, eventually};
use crate::stage::{Agent, NAME, connect, crew, key, limits, shake, slice};

const DAY: Duration = Duration::from_secs(86_400);

/// Somebody in the agent's place: gives what it got out of a caller.
async fn impostor(ca: &Ca, name: &str, issued: SystemTime) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let serving = Arc::new(Serving::default());
    serving.set(ca.issue(&[name.to_owned()], issued, DAY).expect("a leaf").certified());
    let acceptor = TlsAcceptor::from(server_config(serving).expect("a configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a caller");
        let mut heard = Vec::new();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            // However it ends: what was heard is what counts.
            let _ = stream.read_to_end(&mut heard).await;
        }
        heard
    });
    (address, heard)
}

#[tokio::test]
async fn nothing_is_said_to_a_server_with_a_wrong_certificate() {
    let now = SystemTime::now();
    let (ours, theirs) =
        (Ca::generate(now, 365 * DAY).expect("a CA"), Ca::generate(now, DAY).expect("a CA"));
    let bundle = Bundle::parse(ours.certificate().as_bytes(), "test").expect("a bundle");
    let cases = [
        ("another CA", &theirs, NAME, now),
        ("another name", &ours, "remora-agent.evil.svc", now),
        ("an expired certificate", &ours, NAME, now - 3 * DAY),
        ("one of tomorrow", &ours, NAME, now + DAY),
    ];
    for (what, ca, name, issued) in cases {
        let (address, heard) = impostor(ca, name, issued).await;
        // The token is only in the request, which has no connection to go over.
        let refused = connect(address, bundle.clone(), NAME).await;
        assert!(refused.is_err(), "{what}: connected");
        let heard = tokio::time::timeout(PATIENCE, heard).await.expect("an end").expect("heard");
        assert_eq!(heard, b"", "{what}: not a byte inside TLS");
    }
    let (address, heard) = impostor(&ours, NAME, now).await;
    drop(connect(address, bundle, NAME).await.expect("the right one is believed"));
    let heard = tokio::time::timeout(PATIENCE, heard).await.expect("an end").expect("heard");
    assert!(heard.starts_with(b"PRI * HTTP/2.0"), "so the test would have heard a token");
}

#[tokio::test]
async fn a_plain_text_server_and_a_plain_text_client_get_nowhere() {
    let agent = Agent::start(limits()).await;
    let mut stream = TcpStream::connect(agent.address).await.expect("connected");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    assert!(heard.len() < 16, "an alert at most: {heard:?}");
    agent.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart() {
    let agent = Agent::start(limits()).await;
    let channel = agent.connect().await.expect("connected");
    let mut stream = Stream::policies_as(&channel, &["Bearer droid"]).await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;

    // Two CAs later: who has not read the bundle since is refused, who has is not.
    let next = Ca::generate(SystemTime::now(), 365 * DAY).expect("a CA");
    let leaf = next.issue(&[NAME.to_owned()], SystemTime::now(), DAY).expect("a leaf");
    agent.serving.set(leaf.certified());
    assert!(agent.connect().await.is_err());
    let reread = Bundle::parse(next.certificate().as_bytes(), "test").expect("a bundle");
    let channel = connect(agent.address, reread, NAME).await.expect("connected");
    assert!(Stream::policies_as(&channel, &["Bearer droid"]).await.is_ok());

    // Open streams do not notice.
    let mut slices = crew();
    slices.insert(key("droid"), slice("uid-droid", "10.0.0.8", (300, "10.0.9.1")));
    agent.publish(slices);
    stream.accept().await;
    agent.stop().await;
}

#[tokio::test]
async fn without_a_certificate_nobody_is_served_and_with_one_again() {
    let agent = Agent::start(limits()).await;
    agent.serving.clear();
    assert!(agent.shake().await.is_err());
    let leaf = agent.ca.issue(&[NAME.to_owned()], SystemTime::now(), DAY).expect("a leaf");
    agent.serving.set(leaf.certified());
    eventually("a handshake", || async { shake(agent.address, &agent.bundle(), NAME).await.ok() })
        .await;
    agent.stop().await;
}
