//! The webhook as a server: over real sockets and TLS, with an API server that answers by
//! script.

mod api_server;
mod client;
mod http;
mod ledger;
mod stories;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remora_certs::{Ca, Leaf, Serving, https_config};
use remora_injector::admission::Install;
use remora_injector::webhook::{Counters, Desk, Mailbox, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const NAME: &str = "remora-injector.remora.svc";
const DAY: Duration = Duration::from_secs(86_400);

/// A webhook's port that is being served.
struct Port {
    address: SocketAddr,
    serving: Arc<Serving>,
    counters: Arc<Counters>,
    stories: tokio::sync::mpsc::Receiver<remora_injector::admission::Story>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn port() -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (serving, counters): (Arc<Serving>, Arc<Counters>) = Default::default();
    let (mailbox, stories) = Mailbox::new();
    let desk = Arc::new(Desk::new(Install::default(), Arc::clone(&counters), mailbox));
    let (stop, stopping) = watch::channel(false);
    let tls = https_config(Arc::clone(&serving)).expect("TLS");
    let task = tokio::spawn(serve(listener, tls, desk, stopping));
    Port { address, serving, counters, stories, stop, task }
}

fn ca() -> Ca {
    Ca::generate(SystemTime::now(), DAY).expect("a CA")
}

fn leaf(ca: &Ca) -> Leaf {
    ca.issue(&[NAME.to_owned()], SystemTime::now(), DAY).expect("a leaf")
}

fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": "shop",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart-0"},
                "spec": {"containers": [{
                    "name": "app", "image": "x",
                    "securityContext": {"capabilities": {"drop": ["ALL"]}},
                }]},
            },
        },
    })
}

fn rendered(counters: &Counters) -> String {
    let mut text = String::new();
    counters.render(&mut text);
    text
}
