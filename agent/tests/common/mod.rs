//! What the agent's tests share: directories, manifests and a client.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use remora_api::cilium::network_policy_discovery_service_client::NetworkPolicyDiscoveryServiceClient as Policies;
use remora_api::cilium::network_policy_hosts_discovery_service_client::NetworkPolicyHostsDiscoveryServiceClient as Hosts;
use remora_api::discovery::{DiscoveryRequest, DiscoveryResponse};
use remora_api::endpoints::endpoint_discovery_service_client::EndpointDiscoveryServiceClient as Endpoints;
use remora_api::rpc;
use remora_api::wire::Resource;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

/// How long a condition may take to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether a condition has come true.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// A policy for droids: who has this role may READ.
pub(crate) fn policy(role: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: droids, namespace: shop}}\n\
         spec:\n  endpointSelector: {{matchLabels: {{app: droid}}}}\n  ingress:\n  \
         - fromEndpoints: [{{matchLabels: {{role: {role}}}}}]\n    toPorts:\n    \
         - ports: [{{port: '4040', protocol: TCP}}]\n      rules: {{l7proto: r2d2, l7: [{{cmd: READ}}]}}\n"
    )
}

/// A pod with a sidecar, as the injector writes it.
pub(crate) fn pod(name: &str, labels: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, uid: uid-{name}, labels: {{{labels}}}}}\n\
         spec: {{initContainers: [{{name: remora}}]}}\nstatus: {{podIPs: [{{ip: {address}}}]}}\n"
    )
}

/// The two directories of an agent.
pub(crate) struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("manifests")).expect("made");
        let folders = Self { root };
        files.iter().for_each(|(name, text)| folders.write(name, text));
        folders
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.root.path().join("manifests")
    }

    pub(crate) fn sockets(&self) -> PathBuf {
        self.root.path().join("sockets")
    }

    pub(crate) fn socket(&self, pod: &str) -> PathBuf {
        self.sockets().join(format!("shop_{pod}")).join("agent.sock")
    }

    /// Writes a manifest the way a careful editor does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let temporary = self.manifests().join(format!(".{name}"));
        std::fs::write(&temporary, text).expect("written");
        std::fs::rename(temporary, self.manifests().join(name)).expect("renamed");
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests().join(name)).expect("removed");
    }
}

/// Waits until `probe` gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let found = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{what}: never"))
}

/// A stream of any service, from the sidecar's side.
pub(crate) struct Stream {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    url: &'static str,
}

/// A connection to a pod's socket.
pub(crate) async fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://agent");
    endpoint.connect_with_connector(connector).await.expect("connected")
}

impl Stream {
    pub(crate) async fn policies(channel: &Channel) -> Result<Self, Status> {
        Self::policies_as(channel, &[]).await
    }

    pub(crate) async fn hosts(channel: &Channel) -> Result<Self, Status> {
        Self::hosts_as(channel, &[]).await
    }

    /// With these values of `authorization`.
    pub(crate) async fn policies_as(channel: &Channel, values: &[&str]) -> Result<Self, Status> {
        Self::policies_of(channel, values, &[]).await
    }

    /// With these values of `authorization`, for the pods that a node's proxy names.
    pub(crate) async fn policies_of(
        channel: &Channel,
        values: &[&str],
        pods: &[&str],
    ) -> Result<Self, Status> {
        let (requests, receiver) = request(values, pods);
        let responses = Policies::new(channel.clone()).stream_network_policies(receiver).await?;
        let url = remora_api::NETWORK_POLICY_URL;
        Ok(Self { requests, responses: responses.into_inner(), url })
    }

    /// With these values of `authorization`.
    pub(crate) async fn hosts_as(channel: &Channel, values: &[&str]) -> Result<Self, Status> {
        let (requests, receiver) = request(values, &[]);
        let responses = Hosts::new(channel.clone()).stream_network_policy_hosts(receiver).await?;
        let url = remora_api::NETWORK_POLICY_HOSTS_URL;
        Ok(Self { requests, responses: responses.into_inner(), url })
    }

    /// With these values of `authorization`.
    pub(crate) async fn endpoints_as(channel: &Channel, values: &[&str]) -> Result<Self, Status> {
        let (requests, receiver) = request(values, &[]);
        let responses = Endpoints::new(channel.clone()).stream_endpoints(receiver).await?;
        let url = remora_api::ENDPOINT_URL;
        Ok(Self { requests, responses: responses.into_inner(), url })
    }

    pub(crate) async fn send(&self, request: DiscoveryRequest) {
        self.requests.send(request).await.expect("sent");
    }

    pub(crate) async fn subscribe(&self) {
        self.send(DiscoveryRequest { type_url: self.url.to_owned(), ..Default::default() }).await;
    }

    /// Accepts a response, or refuses it with a message.
    pub(crate) async fn answer(&self, response: &DiscoveryResponse, error: Option<&str>) {
        self.send(DiscoveryRequest {
            version_info: response.version_info.clone(),
            type_url: self.url.to_owned(),
            response_nonce: response.nonce.clone(),
            error_detail: error.map(|text| rpc::Status { code: 3, message: text.to_owned() }),
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn next(&mut self) -> Result<DiscoveryResponse, Status> {
        let next = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        next.expect("an answer in time")?.ok_or_else(|| Status::ok("the end"))
    }

    /// The next response, accepted.
    pub(crate) async fn accept(&mut self) -> DiscoveryResponse {
        let response = self.next().await.expect("a response");
        self.answer(&response, None).await;
        response
    }

    /// Whether nothing comes for that long.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.responses.message()).await.is_err()
    }
}

fn request(
    values: &[&str],
    pods: &[&str],
) -> (mpsc::Sender<DiscoveryRequest>, Request<ReceiverStream<DiscoveryRequest>>) {
    let (requests, receiver) = mpsc::channel(8);
    let mut request = Request::new(ReceiverStream::new(receiver));
    for value in values {
        request.metadata_mut().append("authorization", value.parse().expect("a value"));
    }
    for pod in pods {
        request.metadata_mut().append(remora_api::POD_HEADER, pod.parse().expect("a value"));
    }
    (requests, request)
}

/// The resources of a response, checked as a sidecar checks them.
pub(crate) fn resources<R: Resource>(response: &DiscoveryResponse) -> Vec<R> {
    assert_eq!(response.type_url, R::TYPE_URL);
    let read = |any: &prost_types::Any| R::from_wire(&any.value).expect("a resource");
    response.resources.iter().map(read).collect()
}
