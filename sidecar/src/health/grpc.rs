//! gRPC's health protocol, version 1: one question with a service's name, one
//! answer with its status (grpc/health/v1/health.proto).

use std::{io, net::SocketAddr};

use hyper::{header::HeaderValue, http::uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::{
    Code, Request,
    client::Grpc,
    transport::{Endpoint, Uri},
};
use tonic_prost::ProstCodec;

use super::call::{Verdict, connect};
use crate::network::Network;

/// An answer has a number.
const MAX_ANSWER: usize = 1 << 10;

/// `SERVING`, the one status that is well.
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks the app at `address` how `service` is; an empty name is the whole app.
pub(super) async fn check(
    network: &Network,
    address: SocketAddr,
    service: &str,
    agent: &HeaderValue,
) -> Verdict {
    let stream = connect(network, address).await?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.take().ok_or_else(|| io::Error::other("the connection has ended"));
        async move { stream }
    });
    let broken = |error: tonic::transport::Error| format!("no gRPC: {error}");
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent(agent.clone()))
        .map_err(broken)?
        .connect_with_connector(connector)
        .await
        .map_err(broken)?;
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_ANSWER);
    client.ready().await.map_err(broken)?;
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    match client.unary(request, path, codec).await {
        Ok(answer) if answer.get_ref().status == SERVING => Ok(()),
        Ok(answer) => Err(format!("gRPC health status {}", name(answer.get_ref().status))),
        Err(status) => Err(match status.code() {
            Code::NotFound => "gRPC: the app knows no such service".into(),
            Code::Unimplemented => "gRPC: the app does not speak the health protocol".into(),
            code => format!("gRPC: {code:?}"),
        }),
    }
}

fn name(status: i32) -> &'static str {
    match status {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}
