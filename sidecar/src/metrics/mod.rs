//! What is counted. Every series exists from the start and none is ever added:
//! labels come from enums and from the registry of protocols alone, so that no
//! peer can make the sidecar or its collector grow.

mod text;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use hyper::{Method, StatusCode};
use remora_parsers::Registry;
use tokio::net::TcpListener;

use crate::{
    access_log::Outcome,
    errors::Label,
    http::{self, Answer},
    traffic::Shared,
};

/// What can become of a request.
const VERDICTS: [Outcome; 3] = [Outcome::Forwarded, Outcome::Dropped, Outcome::Audit];

/// The counters and gauges of one sidecar.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Counters<(&'static str, Outcome)>,
    connections: Counters<Label>,
    connected: AtomicBool,
    /// In seconds since 1970; 0 before the first policy.
    policy_since: AtomicU64,
    /// The agent's number; 0 before the first, and of an agent that does not count.
    policy_version: AtomicU64,
    log_lost: AtomicU64,
    audited: AtomicU64,
    log_left_out: AtomicU64,
    /// Whether what is in force is on disk.
    snapshot_saved: AtomicBool,
    snapshot_refused: AtomicBool,
}

/// A counter for each of a fixed set of keys.
#[derive(Debug)]
struct Counters<K>(Box<[(K, AtomicU64)]>);

impl<K: Copy + PartialEq> Counters<K> {
    fn new(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(|key| (key, AtomicU64::new(0))).collect())
    }

    fn count(&self, key: K) {
        if let Some((_, counter)) = self.0.iter().find(|(listed, _)| *listed == key) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn each(&self) -> impl Iterator<Item = (K, u64)> {
        self.0.iter().map(|(key, counter)| (*key, counter.load(Ordering::Relaxed)))
    }
}

impl Metrics {
    /// All at nothing, with a series for each of the registry's protocols.
    pub(crate) fn new(registry: Registry) -> Self {
        let of = |protocol| VERDICTS.into_iter().map(move |verdict| (protocol, verdict));
        Self {
            requests: Counters::new(registry.names().flat_map(of)),
            connections: Counters::new(Label::ALL),
            connected: AtomicBool::new(false),
            policy_since: AtomicU64::new(0),
            policy_version: AtomicU64::new(0),
            log_lost: AtomicU64::new(0),
            audited: AtomicU64::new(0),
            log_left_out: AtomicU64::new(0),
            snapshot_saved: AtomicBool::new(false),
            snapshot_refused: AtomicBool::new(false),
        }
    }

    /// A request was judged.
    pub(crate) fn request(&self, protocol: &'static str, verdict: Outcome) {
        self.requests.count((protocol, verdict));
    }

    /// A connection has ended.
    pub(crate) fn connection(&self, label: Label) {
        self.connections.count(label);
    }

    /// An event had no room in the access log.
    pub(crate) fn log_lost(&self) {
        self.log_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection passed that a policy in audit mode would have denied.
    pub(crate) fn audited(&self) {
        self.audited.fetch_add(1, Ordering::Relaxed);
    }

    /// An event was one of a flood.
    pub(crate) fn log_left_out(&self) {
        self.log_left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the agent answers.
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// As it was last told.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// The policy in force was, or could not be, written to disk.
    pub(crate) fn snapshot_saved(&self, saved: bool) {
        self.snapshot_saved.store(saved, Ordering::Relaxed);
    }

    /// What was on disk at the start must not be used.
    pub(crate) fn snapshot_refused(&self) {
        self.snapshot_refused.store(true, Ordering::Relaxed);
    }

    /// A version of the policy is in force from now on.
    pub(crate) fn policy_applied(&self, version: &str, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.policy_version.store(version.parse().unwrap_or(0), Ordering::Relaxed);
        self.policy_since.store(since.as_secs(), Ordering::Relaxed);
    }
}

/// Answers whoever collects, for ever.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let answer = move |question: http::Question, _| {
        let shared = Arc::clone(&shared);
        async move { answer(question.method(), question.uri().path(), &shared) }
    };
    http::serve(listener, Vec::new(), answer).await;
}

fn answer(method: &Method, path: &str, shared: &Shared) -> Answer {
    match (method, path) {
        (&Method::GET, "/metrics") => {
            let page = text::page(&shared.metrics, shared.waiting.waiting(), &shared.ledger);
            http::typed(StatusCode::OK, text::CONTENT_TYPE, page)
        }
        (&Method::GET, _) => http::text(StatusCode::NOT_FOUND, "there is /metrics\n"),
        _ => http::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n"),
    }
}
