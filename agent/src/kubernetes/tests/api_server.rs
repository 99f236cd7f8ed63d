//! An API server that does what a test says: lists, watches, single objects,
//! and whatever is written to it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// How many events a watch may leave unread; more than any test has.
const MAX_EVENTS: usize = 256;

/// Everything that it holds.
#[derive(Clone, Default)]
pub(super) struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    /// By collection (`/api/v1/pods`) and, there, by `NAMESPACE/NAME`.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// What has happened, and to which collection.
    events: Vec<(u64, String, Value)>,
    watchers: Vec<Watcher>,
    /// Collections that are refused with 403.
    refused: Vec<String>,
    /// What was written: method, path and body.
    written: Vec<(Method, String, Value)>,
}

struct Watcher {
    collection: String,
    name: Option<String>,
    sender: mpsc::Sender<Bytes>,
}

impl Watcher {
    fn tell(&self, collection: &str, event: &Value) -> bool {
        let name = event.pointer("/object/metadata/name").and_then(Value::as_str);
        let is_meant = self.collection == collection
            && self.name.as_deref().is_none_or(|own| name == Some(own));
        !is_meant || self.sender.try_send(line(event)).is_ok()
    }
}

impl ApiServer {
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                Ok::<_, Infallible>(server.answer(&head.method, &head.uri, body))
            }
        });
        Client::new(service, "default")
    }

    /// Changes an object, and nobody who watches hears of it yet.
    pub(super) fn put_quietly(&self, collection: &str, object: Value) {
        let mut state = self.lock();
        state.objects.entry(collection.to_owned()).or_default().insert(key(&object), object);
    }

    /// Creates or changes an object.
    pub(super) fn put(&self, collection: &str, mut object: Value) {
        let mut state = self.lock();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let key = key(&object);
        let before = state.objects.entry(collection.to_owned()).or_default();
        let kind = if before.insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        state.tell(collection, json!({"type": kind, "object": object}));
    }

    pub(super) fn delete(&self, collection: &str, name: &str) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version.to_string();
        let objects = state.objects.get_mut(collection).expect("a collection");
        let mut object = objects.remove(name).expect("an object");
        object["metadata"]["resourceVersion"] = json!(version);
        state.tell(collection, json!({"type": "DELETED", "object": object}));
    }

    pub(super) fn refuse(&self, collections: &[&str]) {
        self.lock().refused = collections.iter().map(|&name| name.to_owned()).collect();
    }

    pub(super) fn written(&self) -> Vec<(Method, String, Value)> {
        self.lock().written.clone()
    }

    fn answer(&self, method: &Method, uri: &hyper::Uri, body: Value) -> Answer {
        let path = uri.path();
        let mut state = self.lock();
        if state.refused.iter().any(|refused| path.starts_with(refused.as_str())) {
            return failure(StatusCode::FORBIDDEN, &format!("{path} is forbidden"));
        }
        if method != Method::GET {
            state.written.push((method.clone(), path.to_owned(), body.clone()));
            return respond(StatusCode::OK, &written(body));
        }
        let query: BTreeMap<_, _> =
            uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('=')).collect();
        let name = query.get("fieldSelector").and_then(|own| own.split(['=', '%']).next_back());
        let name = name.map(|name| name.trim_start_matches("3D").to_owned());
        let Some(objects) = state.objects.get(path) else {
            return state.single(path);
        };
        if query.contains_key("watch") {
            let from = query.get("resourceVersion").and_then(|own| own.parse().ok()).unwrap_or(0);
            return state.watch(path, name, from);
        }
        let is_meant =
            |object: &&Value| name.as_deref().is_none_or(|name| object["metadata"]["name"] == name);
        let items: Vec<_> = objects.values().filter(is_meant).collect();
        let version = state.version.to_string();
        let list = json!({"kind": "List", "apiVersion": "v1",
            "metadata": {"resourceVersion": version}, "items": items});
        respond(StatusCode::OK, &list)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }
}

impl State {
    fn tell(&mut self, collection: &str, event: Value) {
        self.watchers.retain(|watcher| watcher.tell(collection, &event));
        self.events.push((self.version, collection.to_owned(), event));
    }

    fn watch(&mut self, collection: &str, name: Option<String>, from: u64) -> Answer {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        let watcher = Watcher { collection: collection.to_owned(), name, sender };
        for (version, of, event) in &self.events {
            if *version > from {
                watcher.tell(of, event);
            }
        }
        self.watchers.push(watcher);
        let frames = ReceiverStream::new(receiver).map(|bytes| Ok(Frame::data(bytes)));
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    }

    fn single(&self, path: &str) -> Answer {
        let found = path
            .rsplit_once('/')
            .and_then(|(collection, name)| self.objects.get(collection)?.get(&format!("/{name}")));
        match found {
            Some(object) => respond(StatusCode::OK, object),
            None => {
                failure(StatusCode::NOT_FOUND, "the server could not find the requested resource")
            }
        }
    }
}

/// What the API server answers to what was written.
fn written(mut body: Value) -> Value {
    if body.get("metadata").is_none() {
        body["metadata"] = json!({"name": "x"});
    }
    body
}

fn key(object: &Value) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

fn respond(status: StatusCode, value: &Value) -> Answer {
    let mut response = Response::new(BodyExt::boxed(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = status;
    response
}

fn failure(status: StatusCode, message: &str) -> Answer {
    let value = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": status.canonical_reason(), "code": status.as_u16()});
    respond(status, &value)
}
