//! An agent that says what a test has it say.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
};

use prost::Message;
use remora_api::{
    NETWORK_POLICY_HOSTS_URL, NETWORK_POLICY_URL, POD_HEADER, SERVICE_URL,
    cilium::{
        NetworkPolicy, NetworkPolicyHosts, network_policy_discovery_service_server as npds,
        network_policy_hosts_discovery_service_server as nphds,
    },
    discovery::{DiscoveryRequest, DiscoveryResponse},
    services::{self, service_discovery_service_server as sds},
};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::{Stream, wrappers::ReceiverStream, wrappers::UnixListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    codegen::{Service as _, http},
    transport::Server,
};

use super::within;

/// More messages than a test leaves unread.
const ROOM: usize = 256;

/// A stream's service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Policies,
    Hosts,
    Services,
}

impl Kind {
    fn url(self) -> &'static str {
        match self {
            Self::Policies => NETWORK_POLICY_URL,
            Self::Hosts => NETWORK_POLICY_HOSTS_URL,
            Self::Services => SERVICE_URL,
        }
    }
}

/// A running agent, and what its sidecar asked of it.
pub(crate) struct Agent {
    script: Script,
    requests: mpsc::Receiver<(Kind, DiscoveryRequest)>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

#[derive(Clone)]
struct Script {
    state: Arc<Mutex<[Line; 3]>>,
    requests: mpsc::Sender<(Kind, DiscoveryRequest)>,
    /// The `authorization` of every stream that was asked for.
    tokens: Arc<Mutex<Vec<Option<String>>>>,
    /// The pod that each of these named.
    pods: Arc<Mutex<Vec<Option<String>>>>,
    /// What every stream is refused with.
    refusal: Arc<Mutex<Option<Status>>>,
}

/// What one service says, and to whom.
#[derive(Default)]
struct Line {
    latest: Option<DiscoveryResponse>,
    to: Option<mpsc::Sender<Result<DiscoveryResponse, Status>>>,
    nonce: u32,
}

impl Line {
    fn send(&mut self) {
        if let (Some(latest), Some(to)) = (&self.latest, &self.to) {
            self.nonce += 1;
            // The stream may be gone; the next one gets it then.
            let _ = to.try_send(Ok(DiscoveryResponse {
                nonce: self.nonce.to_string(),
                ..latest.clone()
            }));
        }
    }
}

impl Agent {
    /// Listens on `path`; says nothing yet, and never anything of services.
    pub(crate) fn start(path: &Path) -> Self {
        Self::listen(path, false)
    }

    /// One that has services to tell of.
    pub(crate) fn with_services(path: &Path) -> Self {
        Self::listen(path, true)
    }

    fn listen(path: &Path, has_services: bool) -> Self {
        // A socket of an earlier agent.
        let _ = std::fs::remove_file(path);
        let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
        let (sender, requests) = mpsc::channel(ROOM);
        let script = Script {
            state: Arc::default(),
            requests: sender,
            tokens: Arc::default(),
            pods: Arc::default(),
            refusal: Arc::default(),
        };
        let (stop, stopped) = oneshot::channel();
        let policies = npds::NetworkPolicyDiscoveryServiceServer::new(script.clone());
        let hosts = nphds::NetworkPolicyHostsDiscoveryServiceServer::new(script.clone());
        let services = sds::ServiceDiscoveryServiceServer::new(script.clone());
        let service = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
            let path = request.uri().path();
            if path.starts_with("/cilium.NetworkPolicyHosts") {
                hosts.clone().call(request)
            } else if has_services && path.starts_with("/remora.v1.ServiceDiscovery") {
                services.clone().call(request)
            } else {
                policies.clone().call(request)
            }
        });
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            let server = Server::builder();
            server.serve_with_incoming_shutdown(service, incoming, stopped).await.unwrap();
        });
        Self { script, requests, stop, served }
    }

    /// Ends the streams and leaves nobody behind the socket.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        *self.script.state.lock().unwrap() = Default::default();
        within("the agent to stop", self.served).await.unwrap();
    }

    /// Refuses every stream from here on, or none any more.
    pub(crate) fn refuse(&self, refusal: Option<Status>) {
        *self.script.refusal.lock().unwrap() = refusal;
    }

    /// Ends the streams that are open, as when a pod is no longer served.
    pub(crate) fn hang_up(&self) {
        for line in self.script.state.lock().unwrap().iter_mut() {
            line.to = None;
        }
    }

    /// The `authorization` of every stream so far.
    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.script.tokens.lock().unwrap().clone()
    }

    /// The pod that each of these streams was said to be about.
    pub(crate) fn pods(&self) -> Vec<Option<String>> {
        self.script.pods.lock().unwrap().clone()
    }

    pub(crate) fn policy(&self, version: &str, policy: &NetworkPolicy) {
        self.say(Kind::Policies, version, vec![policy.encode_to_vec()]);
    }

    pub(crate) fn hosts(&self, version: &str, hosts: &[NetworkPolicyHosts]) {
        self.say(Kind::Hosts, version, hosts.iter().map(Message::encode_to_vec).collect());
    }

    pub(crate) fn services(&self, version: &str, services: &[services::Service]) {
        self.say(Kind::Services, version, services.iter().map(Message::encode_to_vec).collect());
    }

    /// Sends raw resources, now or to the next who asks.
    pub(crate) fn say(&self, kind: Kind, version: &str, resources: Vec<Vec<u8>>) {
        let any = |value| prost_types::Any { type_url: kind.url().into(), value };
        let line = &mut self.script.state.lock().unwrap()[kind as usize];
        line.latest = Some(DiscoveryResponse {
            version_info: version.into(),
            resources: resources.into_iter().map(any).collect(),
            type_url: kind.url().into(),
            ..Default::default()
        });
        line.send();
    }

    /// Says it again.
    pub(crate) fn repeat(&self, kind: Kind) {
        self.script.state.lock().unwrap()[kind as usize].send();
    }

    /// The next request of either stream.
    pub(crate) async fn request(&mut self) -> (Kind, DiscoveryRequest) {
        within("a request to the agent", self.requests.recv()).await.unwrap()
    }

    /// The next answer to a response; requests that open a stream are skipped.
    pub(crate) async fn answer(&mut self) -> (Kind, DiscoveryRequest) {
        loop {
            let (kind, request) = self.request().await;
            if !request.response_nonce.is_empty() {
                return (kind, request);
            }
        }
    }

    /// Waits for the ACK of a version; a NACK fails the test.
    pub(crate) async fn acked(&mut self, kind: Kind, version: &str) {
        loop {
            let (of, request) = self.answer().await;
            assert_eq!(request.error_detail, None, "{of:?} {}", request.version_info);
            if of == kind && request.version_info == version {
                return;
            }
        }
    }

    /// The message of the next answer, which must be a NACK of that stream.
    pub(crate) async fn nacked(&mut self, kind: Kind) -> (String, DiscoveryRequest) {
        let (of, request) = self.answer().await;
        assert_eq!(of, kind);
        let detail = request.error_detail.clone().expect("a NACK");
        assert_eq!(detail.code, tonic::Code::InvalidArgument as i32);
        (detail.message, request)
    }

    /// Whether a request has come that nobody looked at.
    pub(crate) fn has_request(&mut self) -> bool {
        !self.requests.is_empty()
    }
}

type Responses = Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, Status>> + Send>>;

impl Script {
    fn open(
        &self,
        kind: Kind,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let said = |name| {
            let value = request.metadata().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        self.tokens.lock().unwrap().push(said("authorization"));
        self.pods.lock().unwrap().push(said(POD_HEADER));
        if let Some(refusal) = &*self.refusal.lock().unwrap() {
            return Err(refusal.clone());
        }
        let mut incoming = request.into_inner();
        let (to, responses) = mpsc::channel(ROOM);
        let requests = self.requests.clone();
        tokio::spawn(async move {
            while let Ok(Some(request)) = incoming.message().await {
                requests.try_send((kind, request)).unwrap();
            }
        });
        let line = &mut self.state.lock().unwrap()[kind as usize];
        line.to = Some(to);
        line.send();
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}

#[tonic::async_trait]
impl npds::NetworkPolicyDiscoveryService for Script {
    type StreamNetworkPoliciesStream = Responses;
    async fn stream_network_policies(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Policies, request)
    }
}

#[tonic::async_trait]
impl nphds::NetworkPolicyHostsDiscoveryService for Script {
    type StreamNetworkPolicyHostsStream = Responses;
    async fn stream_network_policy_hosts(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Hosts, request)
    }
}

#[tonic::async_trait]
impl sds::ServiceDiscoveryService for Script {
    type StreamServicesStream = Responses;
    async fn stream_services(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Services, request)
    }
}

/// Where a test's agent listens.
pub(super) fn socket(dir: &Path) -> PathBuf {
    dir.join("agent.sock")
}
