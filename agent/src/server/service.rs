//! NPDS and NPHDS on one pod's socket: gRPC around the streams.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use remora_api::MAX_MESSAGE_BYTES;
use remora_api::cilium::network_policy_discovery_service_server::{
    NetworkPolicyDiscoveryService, NetworkPolicyDiscoveryServiceServer,
};
use remora_api::cilium::network_policy_hosts_discovery_service_server::{
    NetworkPolicyHostsDiscoveryService, NetworkPolicyHostsDiscoveryServiceServer,
};
use remora_api::discovery::{DiscoveryRequest, DiscoveryResponse};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::connection;
use super::feed::{Feed, Kind};
use super::stream::Stream;

/// Streams of one connection, told to the peer as an HTTP/2 setting.
const MAX_CONCURRENT_STREAMS: u32 = 8;
/// Resets that a peer may have outstanding: it opens two streams and keeps them.
const MAX_PENDING_RESETS: usize = 8;
/// A request holds a node's name and, at worst, an error's text.
const MAX_REQUEST_BYTES: usize = 256 << 10;
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// How often a silent peer is asked whether it lives, and how long it may take.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Serves one pod until `stopped` ends.
pub(super) fn serve(
    listener: UnixListener,
    feed: Arc<Feed>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let pod = feed.pod.clone();
    let incoming = connection::accept(tokio::net::UnixListener::from_std(listener)?);
    let server = Server::builder()
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .serve_with_incoming_shutdown(Router::new(&Discovery(feed)), incoming, async {
            // Ended by a word or by the sender's end alike.
            let _ = stopped.await;
        });
    Ok(async move {
        if let Err(error) = server.await {
            tracing::error!("{pod}: its socket is no longer served: {error}");
        }
    })
}

/// Both services, for one pod.
#[derive(Clone, Debug)]
struct Discovery(Arc<Feed>);

type Responses = ReceiverStream<Result<DiscoveryResponse, Status>>;

impl Discovery {
    fn open(
        &self,
        kind: Kind,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let Ok(permit) = Arc::clone(&self.0.streams).try_acquire_owned() else {
            return Err(Status::resource_exhausted("this pod has too many streams open"));
        };
        // Room for one: whoever reads slowly is told the latest, not everything.
        let (sender, receiver) = mpsc::channel(1);
        let stream = Stream::new(Arc::clone(&self.0), kind);
        tokio::spawn(async move {
            stream.run(request.into_inner(), sender).await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl NetworkPolicyDiscoveryService for Discovery {
    type StreamNetworkPoliciesStream = Responses;

    async fn stream_network_policies(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Policy, request)
    }
}

#[tonic::async_trait]
impl NetworkPolicyHostsDiscoveryService for Discovery {
    type StreamNetworkPolicyHostsStream = Responses;

    async fn stream_network_policy_hosts(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Hosts, request)
    }
}

type Policies = NetworkPolicyDiscoveryServiceServer<Discovery>;
type Hosts = NetworkPolicyHostsDiscoveryServiceServer<Discovery>;

/// Two services on one socket: tonic's own router would bring a web framework.
#[derive(Clone)]
struct Router {
    policies: Policies,
    hosts: Hosts,
}

impl Router {
    fn new(discovery: &Discovery) -> Self {
        Self {
            policies: Policies::new(discovery.clone())
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
            hosts: Hosts::new(discovery.clone())
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
        }
    }
}

impl Service<http::Request<Body>> for Router {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The path is `/package.Service/Method`.
        match request.uri().path().split('/').nth(1) {
            Some(Policies::NAME) => self.policies.call(request),
            Some(Hosts::NAME) => self.hosts.call(request),
            _ => {
                let status = Status::unimplemented("only NPDS and NPHDS are served here");
                Box::pin(async move { Ok(status.into_http()) })
            }
        }
    }
}
