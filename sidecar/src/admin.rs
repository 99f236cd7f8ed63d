//! What a sidecar tells about itself, on loopback: `GET /ready` and `GET /policy`.

use std::{fmt::Write as _, sync::Arc};

use hyper::{Method, StatusCode};
use tokio::net::TcpListener;

use crate::{
    http::{self, Answer, text},
    snapshot::Store,
};

/// Answers for ever.
pub(crate) async fn run(listener: TcpListener, store: Arc<Store>) {
    let answer = move |question: http::Question, _| {
        let store = Arc::clone(&store);
        async move { answer(question.method(), question.uri().path(), &store) }
    };
    http::serve(listener, Vec::new(), answer).await;
}

fn answer(method: &Method, path: &str, store: &Store) -> Answer {
    match (method, path) {
        (&Method::GET, "/ready") => match store.waiting() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        (&Method::GET, "/policy") => policy(store),
        (&Method::GET, _) => text(StatusCode::NOT_FOUND, "there are /ready and /policy\n"),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n"),
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
