//! What a cluster has beside its nodes: the agent's own server and world, fed by
//! the test in place of watches, and an API server that knows one token.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use kube::client::Body;
use remora_agent::{
    server::{
        Counters,
        tcp::{self, Limits, TokenReviews},
    },
    world::{Change, Object, Slices, World},
};
use remora_certs::{Ca, Serving};
use remora_manifest::Node as Document;
use remora_parsers::Registry;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

/// The node that all pods are on.
pub(super) const NODE: &str = "n1";

/// The token of its proxy.
pub(super) const TOKEN: &str = "of-the-proxy";

const DAY: Duration = Duration::from_secs(86_400);

/// The world as the agent sees it, and those who hear of it.
pub(super) struct Cluster {
    world: Mutex<World>,
    slices: watch::Sender<Option<Arc<Slices>>>,
    ca: Ca,
    address: SocketAddr,
}

/// An agent that serves; dropped, it ends.
pub(super) struct Agent {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

impl Cluster {
    /// One without pods, whose agent is at this address.
    pub(super) fn new(address: SocketAddr) -> Self {
        let ranges = vec!["10.0.0.0/8".parse().expect("a range")];
        let world = Mutex::new(World::of_cluster(Registry::BUILT_IN, ranges));
        let ca = Ca::generate(SystemTime::now(), 365 * DAY).expect("a CA");
        let cluster = Self { world, slices: watch::Sender::new(None), ca, address };
        cluster.apply(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}),
        );
        cluster
    }

    /// Who vouches for the agent.
    pub(super) fn ca(&self) -> &str {
        self.ca.certificate()
    }

    /// An object is new, or another than before.
    pub(super) fn apply(&self, object: &Value) {
        let object = Object::read(&Document::from_json(object), 0, Registry::BUILT_IN);
        self.change(Change::Applied(object));
    }

    /// A pod of the namespace `default` is gone.
    pub(super) fn delete_pod(&self, name: &str) {
        let (namespace, name) = ("default".to_owned(), name.to_owned());
        let key = remora_agent::world::PodKey { namespace, name };
        self.change(Change::Deleted(remora_agent::world::Key::Pod(key)));
    }

    fn change(&self, change: Change) {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.apply(change);
        world.settle();
        self.slices.send_replace(Some(Arc::new(world.slices().clone())));
    }

    /// An agent at this listener.
    pub(super) fn serve(&self, listener: TcpListener) -> Agent {
        let names = [self.address.ip().to_string()];
        let leaf = self.ca.issue(&names, SystemTime::now(), DAY).expect("a leaf");
        let serving = Arc::new(Serving::default());
        serving.set(leaf.certified());
        let tls = remora_certs::server_config(serving).expect("a configuration");
        let snapshots = self.slices.subscribe();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let config = tcp::Config {
                    tls,
                    reviews: TokenReviews::new(kube::Client::new(tower::service_fn(review), "x")),
                    limits: Limits::default(),
                    counters: Arc::new(Counters::default()),
                    node_account: Some("remora/remora-node".parse().expect("an account")),
                };
                listener.set_nonblocking(true).expect("set");
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let stopped = async { drop(stopped.await) };
                tcp::serve(config, listener, snapshots, stopped).await.expect("served");
            });
        });
        Agent { stop: Some(stop), thread: Some(thread) }
    }
}

/// The API server's answer to who shows a token.
async fn review(request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let mut review: Value = serde_json::from_slice(&body).expect("a review");
    review["status"] = if review["spec"]["token"] == TOKEN {
        json!({"authenticated": true, "audiences": ["remora-agent"], "user": {
            "username": "system:serviceaccount:remora:remora-node",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["remora-node-x7"],
                "authentication.kubernetes.io/pod-uid": ["uid-of-the-proxy"],
                "authentication.kubernetes.io/node-name": [NODE],
            },
        }})
    } else {
        json!({"error": "no such token"})
    };
    let response = Response::builder().status(201).header("content-type", "application/json");
    Ok(response.body(review.to_string().into()).expect("a response"))
}
