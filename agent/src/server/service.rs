//! NPDS, NPHDS, services and endpoints: gRPC around the streams, on a pod's socket or for
//! whoever shows a token.

use std::convert::Infallible;
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
use remora_api::endpoints::endpoint_discovery_service_server::{
    EndpointDiscoveryService, EndpointDiscoveryServiceServer,
};
use remora_api::services::service_discovery_service_server::{
    ServiceDiscoveryService, ServiceDiscoveryServiceServer,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::feed::{Feed, Kind};
use super::stream::Stream;
use super::tcp::Door;

/// Streams of one connection, told to the peer as an HTTP/2 setting.
const MAX_CONCURRENT_STREAMS: u32 = 8;
/// Resets that a peer may have outstanding: it opens three streams and keeps them.
const MAX_PENDING_RESETS: usize = 8;
/// A request holds a node's name and, at worst, an error's text.
const MAX_REQUEST_BYTES: usize = 256 << 10;
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// How often a silent peer is asked whether it lives, and how long it may take.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// What all our gRPC servers have in common.
pub(super) fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
}

/// How a stream comes to its pod.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    /// By the socket: who could open it is that pod.
    Socket(Arc<Feed>),
    /// By the token that came with it.
    Token(Arc<Door>),
}

/// All of them.
#[derive(Clone, Debug)]
struct Discovery(Gate);

type Responses = ReceiverStream<Result<DiscoveryResponse, Status>>;

impl Discovery {
    async fn open(
        &self,
        kind: Kind,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let (feed, admission) = match &self.0 {
            Gate::Socket(_) if kind == Kind::Endpoints => {
                return Err(Status::unimplemented("a pod's own socket knows of no endpoints"));
            }
            Gate::Socket(feed) => (Arc::clone(feed), None),
            Gate::Token(door) => {
                let admission = door.admit(kind, &request).await?;
                (admission.feed(), Some(admission))
            }
        };
        if !feed.may_open() {
            return Err(Status::resource_exhausted("this pod opens streams too often"));
        }
        let Ok(permit) = Arc::clone(&feed.streams).try_acquire_owned() else {
            return Err(Status::resource_exhausted("this pod has too many streams open"));
        };
        // Room for one: whoever reads slowly is told the latest, not everything.
        let (sender, receiver) = mpsc::channel(1);
        let stream = Stream::new(feed, kind);
        tokio::spawn(async move {
            let is_over = async {
                match &admission {
                    Some(admission) => admission.is_over().await,
                    None => std::future::pending().await,
                }
            };
            stream.run(request.into_inner(), sender, is_over).await;
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
        self.open(Kind::Policy, request).await
    }
}

#[tonic::async_trait]
impl NetworkPolicyHostsDiscoveryService for Discovery {
    type StreamNetworkPolicyHostsStream = Responses;

    async fn stream_network_policy_hosts(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Hosts, request).await
    }
}

#[tonic::async_trait]
impl ServiceDiscoveryService for Discovery {
    type StreamServicesStream = Responses;

    async fn stream_services(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Services, request).await
    }
}

#[tonic::async_trait]
impl EndpointDiscoveryService for Discovery {
    type StreamEndpointsStream = Responses;

    async fn stream_endpoints(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.open(Kind::Endpoints, request).await
    }
}

type Policies = NetworkPolicyDiscoveryServiceServer<Discovery>;
type Hosts = NetworkPolicyHostsDiscoveryServiceServer<Discovery>;
type Services = ServiceDiscoveryServiceServer<Discovery>;
type Endpoints = EndpointDiscoveryServiceServer<Discovery>;

/// All services on one socket: tonic's own router would bring a web framework.
#[derive(Clone)]
pub(super) struct Router {
    policies: Policies,
    hosts: Hosts,
    services: Services,
    endpoints: Endpoints,
}

impl Router {
    pub(super) fn new(gate: Gate) -> Self {
        let discovery = Discovery(gate);
        Self {
            policies: Policies::new(discovery.clone())
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
            endpoints: Endpoints::new(discovery.clone())
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
            services: Services::new(discovery.clone())
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
            hosts: Hosts::new(discovery)
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
            Some(Services::NAME) => self.services.call(request),
            Some(Endpoints::NAME) => self.endpoints.call(request),
            _ => {
                let status = Status::unimplemented(
                    "only NPDS, NPHDS, services and endpoints are served here",
                );
                Box::pin(async move { Ok(status.into_http()) })
            }
        }
    }
}
