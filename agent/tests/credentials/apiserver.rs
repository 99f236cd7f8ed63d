//! A small API server in memory: secrets, config maps and leases, with versions,
//! conflicts and watches.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server. Clones are the same one.
#[derive(Clone)]
pub(crate) struct ApiServer(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// The version of the last change.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// By `resource/namespace/name`.
    objects: BTreeMap<String, Value>,
    history: Vec<(u64, &'static str, String, Value)>,
    /// `METHOD resource` that are answered with 403.
    forbidden: BTreeSet<String>,
    created: Vec<String>,
}

/// What a request is about.
struct Target {
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl ApiServer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), version: watch::Sender::new(1) }))
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        Client::new(service, "default")
    }

    /// An object, by `resource/namespace/name`.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.state.lock().expect("a lock").objects.get(path).cloned()
    }

    /// As somebody else would write it.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.write(path, object);
    }

    pub(crate) fn delete(&self, path: &str) {
        let mut state = self.0.state.lock().expect("a lock");
        if let Some(object) = state.objects.remove(path) {
            let version = *self.0.version.borrow() + 1;
            state.history.push((version, "DELETED", path.to_owned(), object));
            self.0.version.send_replace(version);
        }
    }

    /// From now on this is answered with 403, or no longer: `POST secrets`.
    pub(crate) fn forbid(&self, what: &str, is_forbidden: bool) {
        let mut state = self.0.state.lock().expect("a lock");
        if is_forbidden {
            state.forbidden.insert(what.to_owned());
        } else {
            state.forbidden.remove(what);
        }
    }

    /// What was created, in order.
    pub(crate) fn created(&self) -> Vec<String> {
        self.0.state.lock().expect("a lock").created.clone()
    }

    fn write(&self, path: &str, mut object: Value) -> Value {
        let mut state = self.0.state.lock().expect("a lock");
        let version = *self.0.version.borrow() + 1;
        let parts: Vec<_> = path.split('/').collect();
        object["metadata"]["namespace"] = json!(parts[1]);
        object["metadata"]["name"] = json!(parts[2]);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let before = state.objects.insert(path.to_owned(), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        if before.is_none() {
            state.created.push(path.to_owned());
        }
        state.history.push((version, kind, path.to_owned(), object.clone()));
        self.0.version.send_replace(version);
        object
    }

    async fn answer(
        self,
        request: Request<Body>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = Target::of(parts.uri.path());
        let query = parts.uri.query().unwrap_or_default();
        let what = format!("{} {}", parts.method, target.resource);
        if self.0.state.lock().expect("a lock").forbidden.contains(&what) {
            return Ok(failure(403, &format!("{what} is forbidden")));
        }
        let object = || serde_json::from_slice::<Value>(&body).expect("JSON");
        Ok(match (parts.method, &target.name) {
            (Method::GET, Some(_)) => match self.get(&target.path()) {
                Some(object) => reply(200, &object),
                None => failure(404, "not found"),
            },
            (Method::GET, None) if query.contains("watch=true") => self.watch(&target, query),
            (Method::GET, None) => self.list(&target.selected(query)),
            (Method::POST, _) => {
                let object = object();
                let name = object["metadata"]["name"].as_str().map(str::to_owned);
                let path = Target { name, ..target }.path();
                match self.get(&path) {
                    Some(_) => failure(409, "already exists"),
                    None => reply(201, &self.write(&path, object)),
                }
            }
            (Method::PUT, _) => self.replace(&target.path(), object()),
            (Method::PATCH, _) => match self.patched(&target, object()) {
                Some(object) => reply(200, &self.write(&target.path(), object)),
                None => failure(404, "not found"),
            },
            (method, _) => panic!("{method} {}", target.path()),
        })
    }

    /// What a patch makes: an applied object is whole, a strategic one names webhooks.
    fn patched(&self, target: &Target, patch: Value) -> Option<Value> {
        if target.resource != "mutatingwebhookconfigurations" {
            return Some(patch);
        }
        let mut object = self.get(&target.path())?;
        for hook in patch["webhooks"].as_array().expect("webhooks") {
            let all = object["webhooks"].as_array_mut().expect("webhooks").iter_mut();
            let own = all.into_iter().find(|own| own["name"] == hook["name"]).expect("the webhook");
            own["clientConfig"]["caBundle"] = hook["clientConfig"]["caBundle"].clone();
        }
        Some(object)
    }

    fn replace(&self, path: &str, object: Value) -> Answer {
        let Some(before) = self.get(path) else { return failure(404, "not found") };
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        if version(&object) != version(&before) {
            return failure(409, "the object has been modified");
        }
        reply(200, &self.write(path, object))
    }

    fn list(&self, target: &Target) -> Answer {
        let state = self.0.state.lock().expect("a lock");
        let items: Vec<_> = state
            .objects
            .iter()
            .filter(|(path, _)| target.holds(path))
            .map(|(_, object)| object.clone())
            .collect();
        let version = self.0.version.borrow().to_string();
        reply(200, &json!({ "metadata": { "resourceVersion": version }, "items": items }))
    }

    fn watch(&self, target: &Target, query: &str) -> Answer {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let mut seen: u64 = since.and_then(|since| since.parse().ok()).expect("a version");
        let (sender, receiver) = mpsc::channel(8);
        let (server, target) = (self.clone(), Target::of(&target.url()).selected(query));
        let mut version = self.0.version.subscribe();
        tokio::spawn(async move {
            loop {
                let news: Vec<_> = {
                    let state = server.0.state.lock().expect("a lock");
                    let first = state.history.partition_point(|(version, ..)| *version <= seen);
                    state.history[first..].to_vec()
                };
                for (at, kind, path, object) in news {
                    seen = at;
                    if target.holds(&path) {
                        let line = format!("{}\n", json!({ "type": kind, "object": object }));
                        if sender.send(Ok(Frame::data(Bytes::from(line)))).await.is_err() {
                            return;
                        }
                    }
                }
                tokio::select! {
                    changed = version.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        Response::new(StreamBody::new(ReceiverStream::new(receiver)).boxed_unsync())
    }
}

impl Target {
    fn of(path: &str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        // `api/v1` or `apis/GROUP/VERSION`.
        let group = parts.next();
        parts.nth(usize::from(group == Some("apis")));
        let namespace = parts.next_if_eq(&"namespaces").and_then(|_| parts.next());
        Self {
            resource: parts.next().expect("a resource").to_owned(),
            namespace: namespace.map(str::to_owned),
            name: parts.next().map(str::to_owned),
        }
    }

    /// The same, of one name alone if the query says so.
    fn selected(mut self, query: &str) -> Self {
        let only = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector="));
        self.name = only.map(|only| {
            only.strip_prefix("metadata.name%3D").expect("a name's selector").to_owned()
        });
        self
    }

    fn path(&self) -> String {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}/{}/{}", self.resource, text(&self.namespace), text(&self.name))
    }

    fn url(&self) -> String {
        let namespace = self.namespace.iter().map(|namespace| format!("/namespaces/{namespace}"));
        // The group does not matter here.
        format!("/api/v1{}/{}", namespace.collect::<String>(), self.resource)
    }

    fn holds(&self, path: &str) -> bool {
        let prefix = match &self.namespace {
            Some(namespace) => format!("{}/{namespace}/", self.resource),
            None => format!("{}/", self.resource),
        };
        path.starts_with(&prefix)
            && self.name.as_ref().is_none_or(|name| path.rsplit('/').next() == Some(name))
    }
}

fn failure(code: u16, message: &str) -> Answer {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        _ => "Conflict",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    reply(code, &status)
}

fn reply(code: u16, body: &Value) -> Answer {
    let body = Full::from(body.to_string()).boxed_unsync();
    Response::builder().status(code).body(body).expect("a response")
}
