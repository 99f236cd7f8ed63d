//! An agent that serves over TLS on loopback, and the sidecars that call it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use remora_agent::server::Counters;
use remora_agent::server::tcp::{self, Config, Limits, TokenReviews};
use remora_agent::world::{PodKey, PodSlice, Slices};
use remora_api::cilium::{NetworkPolicy, NetworkPolicyHosts};
use remora_certs::{Bundle, Ca, Serving, client_config, server_config};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::cluster::Cluster;

pub(crate) const NAME: &str = "remora-agent.remora.svc";
const DAY: Duration = Duration::from_secs(86_400);

/// The agent's side.
pub(crate) struct Agent {
    pub(crate) cluster: Cluster,
    pub(crate) ca: Ca,
    pub(crate) serving: Arc<Serving>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) address: SocketAddr,
    pub(crate) slices: watch::Sender<Option<Arc<Slices>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What tests wait for is short.
pub(crate) fn limits() -> Limits {
    Limits {
        handshake: Duration::from_millis(500),
        idle: Duration::from_millis(700),
        review: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// The slice of a pod at an address, whose policy names one peer.
pub(crate) fn slice(uid: &str, address: &str, peer: (u64, &str)) -> Arc<PodSlice> {
    let (identity, peer) = peer;
    let number = u32::try_from(identity).expect("a number");
    Arc::new(PodSlice {
        uid: uid.to_owned(),
        service_account: "default".to_owned(),
        policy: NetworkPolicy {
            endpoint_ips: vec![address.to_owned()],
            ..NetworkPolicy::default()
        },
        hosts: Arc::new(vec![NetworkPolicyHosts {
            policy: identity,
            host_addresses: vec![peer.to_owned()],
        }]),
        services: Arc::default(),
        peers: Arc::new([(peer.parse().expect("an address"), number)].into()),
        addresses: [(address.parse().expect("an address"), Some(number + 1000))].into(),
        is_of_node: false,
        on_node: None,
        warnings: Vec::new(),
    })
}

pub(crate) fn key(name: &str) -> PodKey {
    PodKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

/// Pods `droid` and `leia` with tokens of the same names.
pub(crate) fn crew() -> Slices {
    [
        (key("droid"), slice("uid-droid", "10.0.0.1", (300, "10.0.9.1"))),
        (key("leia"), slice("uid-leia", "10.0.0.2", (300, "10.0.9.1"))),
    ]
    .into()
}

impl Agent {
    pub(crate) async fn start(limits: Limits) -> Self {
        let cluster = Cluster::default();
        for pod in ["droid", "leia"] {
            cluster
                .vouch(pod, crate::cluster::vouched("shop", "default", pod, &format!("uid-{pod}")));
        }
        let ca = Ca::generate(SystemTime::now(), 365 * DAY).expect("a CA");
        let serving = Arc::new(Serving::default());
        let leaf = ca.issue(&[NAME.to_owned()], SystemTime::now(), DAY).expect("a leaf");
        serving.set(leaf.certified());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let counters = Arc::new(Counters::default());
        let config = Config {
            tls: server_config(Arc::clone(&serving)).expect("a configuration"),
            reviews: TokenReviews::new(cluster.client()),
            limits,
            counters: Arc::clone(&counters),
            node_account: Some("remora/remora-node".parse().expect("an account")),
        };
        let (slices, snapshots) = watch::channel(Some(Arc::new(crew())));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            tcp::serve(config, listener, snapshots, stopped).await.expect("served");
        });
        Self { cluster, ca, serving, counters, address, slices, stop, task }
    }

    pub(crate) fn publish(&self, slices: Slices) {
        self.slices.send_replace(Some(Arc::new(slices)));
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        self.counters.render(&mut text);
        text
    }

    pub(crate) fn bundle(&self) -> Bundle {
        Bundle::parse(self.ca.certificate().as_bytes(), "test").expect("a bundle")
    }

    /// A handshake, and nothing said yet.
    pub(crate) async fn shake(&self) -> std::io::Result<TlsStream<TcpStream>> {
        shake(self.address, &self.bundle(), NAME).await
    }

    /// A connection as a sidecar makes it.
    pub(crate) async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        connect(self.address, self.bundle(), NAME).await
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("an end");
    }
}

pub(crate) async fn shake(
    address: SocketAddr,
    bundle: &Bundle,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(client_config(bundle).expect("a configuration")).connect(name, stream).await
}

pub(crate) async fn connect(
    address: SocketAddr,
    bundle: Bundle,
    name: &str,
) -> Result<Channel, tonic::transport::Error> {
    let name = name.to_owned();
    let connector = tower::service_fn(move |_| {
        let (bundle, name) = (bundle.clone(), name.clone());
        async move { shake(address, &bundle, &name).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://agent").connect_with_connector(connector).await
}
