//! The API between agent and sidecar: NPDS and NPHDS over gRPC, in the
//! messages of Cilium's proxy API (`proto/`), so that a sidecar also works
//! against another server that speaks it; and, of our own, the services that a
//! pod may call, and the pods that a proxy on their node serves.
//!
//! [`wire`] holds the check that comes before every decode: bytes with a field
//! that this crate does not know are refused, because protobuf decoders drop
//! such fields silently and a dropped condition is an opened door.

mod generated;
pub mod wire;

pub use generated::cilium;
pub use generated::envoy::config::core::v3 as core;
pub use generated::envoy::service::discovery::v3 as discovery;
pub use generated::google::rpc;
pub use generated::remora::v1 as endpoints;
pub use generated::remora::v1 as services;

/// `type_url` of a [`cilium::NetworkPolicy`] in a discovery exchange.
pub const NETWORK_POLICY_URL: &str = "type.googleapis.com/cilium.NetworkPolicy";

/// `type_url` of a [`cilium::NetworkPolicyHosts`] in a discovery exchange.
pub const NETWORK_POLICY_HOSTS_URL: &str = "type.googleapis.com/cilium.NetworkPolicyHosts";

/// `type_url` of a [`services::Service`] in a discovery exchange.
pub const SERVICE_URL: &str = "type.googleapis.com/remora.v1.Service";

/// `type_url` of an [`endpoints::Endpoint`] in a discovery exchange.
pub const ENDPOINT_URL: &str = "type.googleapis.com/remora.v1.Endpoint";

/// The request header by which a node's proxy names the pod whose slice it asks
/// for, as `NAMESPACE/NAME/UID`.
pub const POD_HEADER: &str = "remora-pod";

/// The largest gRPC message that either side accepts, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
