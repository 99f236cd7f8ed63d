//! An API server that answers by script.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_test::mock;

/// A client, and the task of the server behind it, which answers each request as `script` says:
/// method, path and body in, status and body out.
pub(crate) fn scripted(
    mut script: impl FnMut(&str, &str, Value) -> (u16, Value) + Send + 'static,
) -> (Client, JoinHandle<()>) {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let task = tokio::spawn(async move {
        while let Some((request, reply)) = handle.next_request().await {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.expect("a body");
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let path = head.uri.path_and_query().map_or("", |path| path.as_str());
            let (status, answer) = script(head.method.as_str(), path, body);
            let response = Response::builder().status(status);
            reply.send_response(
                response.body(Body::from(answer.to_string().into_bytes())).expect("a response"),
            );
        }
    });
    (Client::new(service, "default"), task)
}

/// What an API server says when it does not do it.
pub(crate) fn status(code: u16, reason: &str) -> (u16, Value) {
    let message = format!("it is {reason}");
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": message, "code": code, "metadata": {},
    });
    (code, status)
}
