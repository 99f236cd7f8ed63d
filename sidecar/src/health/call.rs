//! Makes a probe's call.

use std::net::SocketAddr;

use hyper::header::HeaderValue;
use tokio::{net::TcpStream, time::timeout};

use super::{grpc, http_get};
use crate::{
    config::{Call, Probe},
    network::Network,
};

/// Whether the app is well, as a kubelet would judge; if not, why.
pub(super) type Verdict = Result<(), String>;

/// Makes the call, within its time limit.
pub(super) async fn make(probe: &Probe, network: &Network, agent: &HeaderValue) -> Verdict {
    let call = async {
        match &probe.call {
            Call::Http(get) => http_get::make(get, network, agent).await,
            Call::Tcp(address) => connect(network, *address).await.map(drop),
            Call::Grpc { address, service } => grpc::check(network, *address, service, agent).await,
        }
    };
    let answered = timeout(probe.timeout, call).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {} s", probe.timeout.as_secs())))
}

/// A connection to the app. It is not redirected: it never leaves the pod.
pub(super) async fn connect(network: &Network, address: SocketAddr) -> Result<TcpStream, String> {
    network.connect(address).await.map_err(|error| format!("{address}: {error}"))
}
