//! A fake of what the agent asks Kubernetes about tokens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// Answers TokenReviews by a table that tests change.
#[derive(Clone, Default)]
pub(crate) struct Cluster(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The status that a token gets; any other is not authenticated.
    tokens: Mutex<BTreeMap<String, Value>>,
    outage: Mutex<Outage>,
    reviews: AtomicUsize,
}

/// How the API server fails.
#[derive(Clone, Copy, Default)]
pub(crate) enum Outage {
    /// Not at all.
    #[default]
    None,
    /// It refuses the agent.
    Forbidden,
    /// It cannot be reached.
    Unreachable,
    /// It takes the question and says nothing.
    Silent,
}

/// The status of a good token.
pub(crate) fn vouched(namespace: &str, account: &str, pod: &str, uid: &str) -> Value {
    json!({
        "authenticated": true,
        "audiences": ["remora-agent"],
        "user": {
            "username": format!("system:serviceaccount:{namespace}:{account}"),
            "uid": "account-uid",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/pod-name": [pod],
                "authentication.kubernetes.io/pod-uid": [uid],
            },
        },
    })
}

impl Cluster {
    pub(crate) fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request| cluster.clone().answer(request));
        Client::new(service, "default")
    }

    /// From now on this token gets this status.
    pub(crate) fn vouch(&self, token: &str, status: Value) {
        self.0.tokens.lock().expect("a lock").insert(token.to_owned(), status);
    }

    /// From now on this token is no longer valid.
    pub(crate) fn revoke(&self, token: &str) {
        self.0.tokens.lock().expect("a lock").remove(token);
    }

    pub(crate) fn fail(&self, outage: Outage) {
        *self.0.outage.lock().expect("a lock") = outage;
    }

    /// How many reviews there have been.
    pub(crate) fn reviews(&self) -> usize {
        self.0.reviews.load(Ordering::SeqCst)
    }

    async fn answer(
        self,
        request: Request<Body>,
    ) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(request.uri().path(), "/apis/authentication.k8s.io/v1/tokenreviews");
        self.0.reviews.fetch_add(1, Ordering::SeqCst);
        let body = request.into_body().collect().await?.to_bytes();
        let mut review: Value = serde_json::from_slice(&body)?;
        assert_eq!(review["spec"]["audiences"], json!(["remora-agent"]), "no token for anybody");
        let outage = *self.0.outage.lock().expect("a lock");
        match outage {
            Outage::None => {}
            Outage::Forbidden => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "tokenreviews is forbidden", "reason": "Forbidden", "code": 403,
                });
                return Ok(reply(403, &status));
            }
            Outage::Unreachable => return Err("connection refused".into()),
            Outage::Silent => return std::future::pending().await,
        }
        let token = review["spec"]["token"].as_str().expect("a token").to_owned();
        let invalid = json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"});
        let status = self.0.tokens.lock().expect("a lock").get(&token).cloned();
        review["status"] = status.unwrap_or(invalid);
        Ok(reply(201, &review))
    }
}

fn reply(code: u16, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(body.to_string().into()).expect("a response")
}
