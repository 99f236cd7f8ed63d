//! The kubelet's probes and hooks, made from inside the pod.
//!
//! The kubelet's own connections would be judged by policy, as anybody's. So
//! injection points them here, and the sidecar makes the call that the manifest
//! meant: the app's answer decides, as it would without a sidecar. Nothing
//! else is answered.

mod call;
mod grpc;
mod http_get;
mod insecure;
mod line;
mod url;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use hyper::{
    Method, StatusCode,
    header::{HeaderValue, USER_AGENT},
};
use tokio::net::TcpListener;

use self::line::Line;
use crate::{
    config::{Config, Kind},
    http::{self, Answer, text},
};

/// Who probes, where nobody says.
const AGENT: HeaderValue = HeaderValue::from_static("kube-probe");

/// The calls that may be asked for, and by whom.
#[derive(Debug)]
pub(crate) struct Health {
    lines: BTreeMap<String, Line>,
    node: Vec<IpAddr>,
}

impl Health {
    pub(crate) fn new(config: &Config) -> Self {
        let line = |(path, probe): (&String, &_)| (path.clone(), Line::new(probe, &config.network));
        Self { lines: config.probes.0.iter().map(line).collect(), node: config.node.clone() }
    }

    async fn answer(&self, question: &http::Question, source: IpAddr) -> Answer {
        let Some(line) = self.lines.get(question.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "no probe of this pod's\n");
        };
        if question.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n");
        }
        if line.kind() == Kind::Hook && !self.node.contains(&source) {
            tracing::warn!(%source, path = question.uri().path(), "a hook is called by another than the node; refused");
            return text(StatusCode::FORBIDDEN, "only the node may call hooks\n");
        }
        match line.ask(agent(question)).await {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }
}

/// The kubelet's version goes on to the app; what others call themselves not.
fn agent(question: &http::Question) -> HeaderValue {
    let said = question.headers().get(USER_AGENT);
    let kubelet =
        |value: &&HeaderValue| value.len() <= 64 && value.as_bytes().starts_with(b"kube-probe/");
    said.filter(kubelet).cloned().unwrap_or(AGENT)
}

/// Answers for ever; the node before others.
pub(crate) async fn run(listener: TcpListener, health: Health) {
    let node = health.node.clone();
    let health = Arc::new(health);
    let answer = move |question: http::Question, source| {
        let health = Arc::clone(&health);
        async move { health.answer(&question, source).await }
    };
    http::serve(listener, node, answer).await;
}
