//! The endpoints of a node: one stream, of which the latest state counts.

use std::{convert::Infallible, sync::Arc, time::Duration};

use remora_api::{
    ENDPOINT_URL, MAX_MESSAGE_BYTES,
    discovery::{DiscoveryRequest, DiscoveryResponse},
    endpoints::{
        Endpoint, endpoint_discovery_service_client::EndpointDiscoveryServiceClient as Eds,
    },
    rpc::Status,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    RETRY_FIRST, RETRY_LAST, backoff::Backoff, connection::ended, dial, exchange::INVALID_ARGUMENT,
    exchange::resources,
};
use crate::config::Agent;

/// All endpoints of the node, once they have been told.
pub(crate) type Told = watch::Sender<Option<Arc<[Endpoint]>>>;

/// Follows the agent for ever. What it has told stays while it is away.
pub(crate) async fn follow(agent: Agent, keepalive: Duration, told: Told) {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LAST);
    loop {
        let mut lived = false;
        let Err(why) = converse(&agent, keepalive, &told, &mut lived).await;
        tracing::warn!(%agent, why, "no connection to the agent; the last endpoints stay");
        if lived {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// One connection; `lived` says whether it has told anything.
async fn converse(
    agent: &Agent,
    keepalive: Duration,
    told: &Told,
    lived: &mut bool,
) -> Result<Infallible, String> {
    let link = dial::dial(agent, keepalive, None).await?;
    let mut client = Eds::new(link.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (requests, outgoing) = mpsc::channel(1);
    let first = DiscoveryRequest { type_url: ENDPOINT_URL.to_owned(), ..Default::default() };
    let send = async |request| requests.send(request).await.map_err(|error| error.to_string());
    send(first).await?;
    let opening = client.stream_endpoints(link.request(ReceiverStream::new(outgoing)));
    let mut stream = opening.await.map_err(|status| ended(&status))?.into_inner();
    let mut version = String::new();
    loop {
        let response = stream.message().await.map_err(|status| ended(&status))?;
        let response = response.ok_or("it ended the stream")?;
        let refusal = match resources::<Endpoint>(&response) {
            Ok(endpoints) => {
                tracing::info!(
                    version = response.version_info,
                    endpoints = endpoints.len(),
                    "told"
                );
                version.clone_from(&response.version_info);
                told.send_replace(Some(endpoints.into()));
                *lived = true;
                None
            }
            Err(why) => {
                tracing::warn!(why, "refused; the last endpoints stay");
                Some(why)
            }
        };
        send(answer(&response, &version, refusal)).await?;
    }
}

/// An ACK, or a NACK with its reason.
fn answer(
    response: &DiscoveryResponse,
    version: &str,
    refusal: Option<String>,
) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: version.to_owned(),
        type_url: ENDPOINT_URL.to_owned(),
        response_nonce: response.nonce.clone(),
        error_detail: refusal.map(|message| Status { code: INVALID_ARGUMENT, message }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
