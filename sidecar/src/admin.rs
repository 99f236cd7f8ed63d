//! What a sidecar tells about itself, on loopback: whether it is ready, the
//! policy in force, the connections there are. Nothing can be changed here.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use hyper::{Method, StatusCode};
use remora_api::{cilium::NetworkPolicy, wire::Resource as _};
use tokio::net::TcpListener;

use crate::{
    http::{self, Answer, text},
    snapshot::Store,
    traffic::Shared,
};

/// The most bytes of the rules that one answer shows.
const MAX_RULES_BYTES: usize = 1 << 20;

/// Answers for ever.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let answer = move |question: http::Question, _| {
        let shared = Arc::clone(&shared);
        async move { answer(question.method(), question.uri().path(), &shared) }
    };
    http::serve(listener, Vec::new(), answer).await;
}

fn answer(method: &Method, path: &str, shared: &Shared) -> Answer {
    let store = &shared.store;
    match (method, path) {
        (&Method::GET, "/ready") => match store.waiting() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        (&Method::GET, "/policy") => policy(store),
        (&Method::GET, "/policy/rules") => rules(store),
        (&Method::GET, "/connections") => {
            http::typed(StatusCode::OK, "application/json", shared.live.page())
        }
        (&Method::GET, _) => text(
            StatusCode::NOT_FOUND,
            "there are /ready, /policy, /policy/rules and /connections\n",
        ),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n"),
    }
}

/// The policy in force as the agent has sent it, for people.
fn rules(store: &Store) -> Answer {
    let snapshot = store.load();
    let mut page = Page(String::new());
    for resource in &snapshot.policies.resources {
        let told = match NetworkPolicy::from_wire(&resource.value) {
            Ok(policy) => writeln!(page, "{policy:#?}"),
            Err(error) => writeln!(page, "{error}"),
        };
        if told.is_err() {
            page.0.push_str("\n… and more\n");
            break;
        }
    }
    text(StatusCode::OK, page.0)
}

/// Takes text up to its cap.
struct Page(String);

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len().saturating_add(text.len()) > MAX_RULES_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// The version in force and how much it holds, as JSON.
fn policy(store: &Store) -> Answer {
    let snapshot = store.load();
    let size = snapshot.size;
    let mut body = String::from("{\"version\":");
    crate::access_log::quote(&mut body, &snapshot.version);
    // Writing to a String cannot fail.
    let _ = writeln!(
        body,
        ",\"source\":\"{}\",\"ready\":{},\"ingress_ports\":{},\"egress_ports\":{},\"rules\":{},\
         \"identities\":{},\"addresses\":{},\"services\":{}}}",
        snapshot.source.as_str(),
        store.waiting().is_none(),
        size.ports,
        size.egress_ports,
        size.rules,
        size.identities,
        size.addresses,
        size.services
    );
    http::typed(StatusCode::OK, "application/json", body)
}
