//! Requests, and what becomes of the certificate under them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use remora_certs::Ca;
use remora_injector::admission::MAX_REVIEW_BYTES;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::client::{POST, answer, ask, connect};
use crate::{ca, leaf, port, rendered, review};

#[tokio::test]
async fn each_request_has_its_answer_on_one_connection() {
    let (port, ca) = (port().await, ca());
    port.serving.set(leaf(&ca).certified());
    let mut stream = connect(port.address, ca.certificate()).await.expect("TLS");
    let body = review().to_string();
    for path in ["/inject/enabled", "/inject/enforced", "/inject/enforced?timeout=3s"] {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json");
        let (status, text) = ask(&mut stream, &head, body.as_bytes()).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((status, &answer["response"]["uid"]), (200, &json!("u-1")));
        assert_eq!(answer["response"]["allowed"], true);
        assert!(answer["response"]["patch"].is_string());
    }
    let json = "\r\nContent-Type: application/json";
    let table = [
        (format!("POST /inject HTTP/1.1{json}"), 404, "nothing is here"),
        (format!("GET /inject/enabled HTTP/1.1{json}"), 405, "POST is all there is"),
        ("POST /inject/enabled HTTP/1.1".to_owned(), 415, "application/json"),
    ];
    for (head, status, words) in table {
        let (seen, text) = ask(&mut stream, &head, b"").await;
        assert!(seen == status && text.contains(words), "{head}: {seen} {text}");
    }
    let (status, text) = ask(&mut stream, POST, b"{}").await;
    assert!(status == 400 && text.contains("/apiVersion is no text"), "{status} {text}");
    let text = rendered(&port.counters);
    assert!(text.contains("_total{result=\"injected\",reason=\"none\"} 3\n"), "{text}");
    assert!(text.contains("_total{result=\"malformed\",reason=\"none\"} 1\n"), "{text}");
    assert!(text.contains("_seconds_count 4\n"), "{text}");
}

#[tokio::test]
async fn large_reviews_are_taken_up_to_the_cap() {
    let (port, ca) = (port().await, ca());
    port.serving.set(leaf(&ca).certified());
    let padded = |bytes: usize| {
        let mut text = review().to_string();
        text.push_str(&" ".repeat(bytes - text.len()));
        text
    };
    for (bytes, status) in [(1 << 20, 200), (MAX_REVIEW_BYTES, 200), (MAX_REVIEW_BYTES + 1, 413)] {
        let mut stream = connect(port.address, ca.certificate()).await.expect("TLS");
        let (seen, text) = ask(&mut stream, POST, padded(bytes).as_bytes()).await;
        assert_eq!(seen, status, "{bytes}: {}", &text[..text.len().min(200)]);
    }
    // Without a length, too.
    let mut stream = connect(port.address, ca.certificate()).await.expect("TLS");
    let head = format!("{POST}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    for _ in 0..9 {
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    assert_eq!(answer(&mut stream).await.0, 413);
}

#[tokio::test]
async fn stories_wait_outside_the_answer_and_too_many_are_lost() {
    let (mut port, ca) = (port().await, ca());
    port.serving.set(leaf(&ca).certified());
    let mut stream = connect(port.address, ca.certificate()).await.expect("TLS");
    let body = review().to_string();
    // Nobody takes them out.
    for _ in 0..260 {
        assert_eq!(ask(&mut stream, POST, body.as_bytes()).await.0, 200);
    }
    let text = rendered(&port.counters);
    assert!(text.contains("remora_injector_events_lost_total 4\n"), "{text}");
    assert_eq!(port.stories.recv().await.expect("a story").reason, "Injected");
}

#[tokio::test]
async fn without_a_certificate_nobody_is_answered() {
    let (port, ca) = (port().await, ca());
    assert!(connect(port.address, ca.certificate()).await.is_err());
    port.serving.set(leaf(&ca).certified());
    let mut stream = connect(port.address, ca.certificate()).await.expect("TLS");
    assert_eq!(ask(&mut stream, POST, b"{}").await.0, 400);
}

#[tokio::test]
async fn what_is_under_way_at_the_end_is_answered() {
    let (port, ca) = (port().await, ca());
    port.serving.set(leaf(&ca).certified());
    let body = review().to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = connect(port.address, ca.certificate()).await.expect("TLS");
    let head = format!("{POST}\r\nHost: x\r\nContent-Length: {}\r\n\r\n{first}", body.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.flush().await.expect("sent");
    // The head has arrived once an idle connection beside it is told to go.
    let mut idle = connect(port.address, ca.certificate()).await.expect("TLS");
    assert_eq!(ask(&mut idle, POST, b"{}").await.0, 400);
    port.stop.send_replace(true);
    stream.write_all(second.as_bytes()).await.expect("sent");
    assert_eq!(answer(&mut stream).await.0, 200);
    port.task.await.expect("served to the end");
}

/// Fifty authorities one after the other, each announced before it signs and trusted until its
/// successor does, while reviews go on: none fails.
#[tokio::test]
async fn fifty_rotations_under_reviews_lose_none() {
    let port = port().await;
    let mut active = ca();
    port.serving.set(leaf(&active).certified());
    let trust = Arc::new(Trust::new(active.certificate()));
    let callers: Vec<_> =
        (0..CALLERS).map(|at| tokio::spawn(Arc::clone(&trust).call(at, port.address))).collect();
    for _ in 0..50 {
        let next: Ca = ca();
        trust.change(format!("{}{}", active.certificate(), next.certificate())).await;
        port.serving.set(leaf(&next).certified());
        trust.change(next.certificate().to_owned()).await;
        active = next;
    }
    trust.is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no failure");
    }
}

const CALLERS: usize = 2;

/// What API servers trust: the bundle, and how often it has changed.
struct Trust {
    bundle: ArcSwap<(u64, String)>,
    /// The change with which each of them was answered last.
    answered: [AtomicU64; CALLERS],
    is_over: AtomicBool,
}

impl Trust {
    fn new(bundle: &str) -> Self {
        let bundle = ArcSwap::from_pointee((0, bundle.to_owned()));
        Self { bundle, answered: Default::default(), is_over: AtomicBool::new(false) }
    }

    /// Another bundle, which all use when this returns.
    async fn change(&self, bundle: String) {
        let next = self.bundle.load().0 + 1;
        self.bundle.store(Arc::new((next, bundle)));
        while self.answered.iter().any(|seen| seen.load(Ordering::Relaxed) < next) {
            tokio::task::yield_now().await;
        }
    }

    /// Asks on a new connection each time, as one of them.
    async fn call(self: Arc<Self>, at: usize, address: SocketAddr) {
        let body = review().to_string();
        while !self.is_over.load(Ordering::Relaxed) {
            let trusted = self.bundle.load_full();
            let mut stream = connect(address, &trusted.1).await.expect("TLS");
            assert_eq!(ask(&mut stream, POST, body.as_bytes()).await.0, 200);
            self.answered[at].store(trusted.0, Ordering::Relaxed);
        }
    }
}
