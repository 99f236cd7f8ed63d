//! Simulated sidecars.

use std::{collections::BTreeSet, io, path::Path, time::Duration, time::Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use hyper_util::rt::TokioIo;
use remora_api::{
    MAX_MESSAGE_BYTES, NETWORK_POLICY_HOSTS_URL, NETWORK_POLICY_URL,
    cilium::{
        network_policy_discovery_service_client::NetworkPolicyDiscoveryServiceClient as Npds,
        network_policy_hosts_discovery_service_client::NetworkPolicyHostsDiscoveryServiceClient as Nphds,
    },
    core::Node,
    discovery::{DiscoveryRequest, DiscoveryResponse},
};
use tokio::{
    net::UnixStream,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint, Uri},
};

use super::{PATIENCE, in_time, marked, name};

/// How often a socket that is not there yet is looked for.
const AGAIN: Duration = Duration::from_millis(5);

/// Arrivals that may wait to be counted.
const ARRIVALS: usize = 1024;

/// Sidecar, change, and when it came.
type Arrival = (usize, usize, Instant);

/// All sidecars.
pub(super) struct Crowd {
    arrivals: mpsc::Receiver<Arrival>,
    count: usize,
    readers: JoinSet<Result<()>>,
}

impl Crowd {
    /// Connects a sidecar for each pod, once the agent serves it.
    pub(super) async fn gather(sockets: &Path, count: usize) -> Result<Self> {
        let (to, arrivals) = mpsc::channel(ARRIVALS);
        let mut readers = JoinSet::new();
        for index in 0..count {
            let socket = sockets.join(format!("default_{}/agent.sock", name(index)));
            let channel = connect(&socket).await?;
            let (policies, hosts) = (channel.clone(), channel);
            let to = to.clone();
            readers.spawn(async move { follow_policies(policies, index, &to).await });
            readers.spawn(async move { follow_hosts(hosts, index).await });
        }
        Ok(Self { arrivals, count, readers })
    }

    /// Waits until every sidecar has this change; returns when each had it.
    pub(super) async fn all_have(
        &mut self,
        change: usize,
        deadline: Instant,
    ) -> Result<Vec<Instant>> {
        let mut missing: BTreeSet<_> = (0..self.count).collect();
        let mut times = Vec::with_capacity(self.count);
        while !missing.is_empty() {
            let left = in_time(deadline, missing.len(), change)?;
            tokio::select! {
                arrival = timeout(left, self.arrivals.recv()) => match arrival {
                    Ok(Some((index, which, at))) if which == change => {
                        if missing.remove(&index) {
                            times.push(at);
                        }
                    }
                    Ok(Some(_)) | Err(_) => {}
                    Ok(None) => bail!("all sidecars have ended"),
                },
                Some(ended) = self.readers.join_next() => {
                    ended?.context("a sidecar's stream")?;
                    bail!("the agent ended a stream");
                }
            }
        }
        Ok(times)
    }
}

async fn connect(socket: &Path) -> Result<Channel> {
    let deadline = Instant::now() + PATIENCE;
    let stream = loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("connecting to {}", socket.display()));
            }
            Err(_) => sleep(AGAIN).await,
        }
    };
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.take().ok_or_else(|| io::Error::other("the connection has ended"));
        async move { stream }
    });
    Ok(Endpoint::from_static("http://agent").connect_with_connector(connector).await?)
}

async fn follow_policies(channel: Channel, index: usize, to: &mpsc::Sender<Arrival>) -> Result<()> {
    let mut client = Npds::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (requests, outgoing) = mpsc::channel(4);
    requests.send(request(index, NETWORK_POLICY_URL, None)).await?;
    let opened = client.stream_network_policies(ReceiverStream::new(outgoing)).await?;
    follow(opened.into_inner(), &requests, index, NETWORK_POLICY_URL, Some(to)).await
}

async fn follow_hosts(channel: Channel, index: usize) -> Result<()> {
    let mut client = Nphds::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (requests, outgoing) = mpsc::channel(4);
    requests.send(request(index, NETWORK_POLICY_HOSTS_URL, None)).await?;
    let opened = client.stream_network_policy_hosts(ReceiverStream::new(outgoing)).await?;
    follow(opened.into_inner(), &requests, index, NETWORK_POLICY_HOSTS_URL, None).await
}

/// Acknowledges everything that comes, and tells of the changes in it.
async fn follow(
    mut responses: Streaming<DiscoveryResponse>,
    requests: &mpsc::Sender<DiscoveryRequest>,
    index: usize,
    url: &str,
    to: Option<&mpsc::Sender<Arrival>>,
) -> Result<()> {
    while let Some(response) = responses.message().await? {
        let now = Instant::now();
        let changes = response.resources.iter().filter_map(|policy| marked(&policy.value));
        for (change, to) in changes.zip(to) {
            to.send((index, change, now)).await.map_err(|_| anyhow!("nobody listens"))?;
        }
        let ack = request(index, url, Some(&response));
        requests.send(ack).await.map_err(|_| anyhow!("the agent takes no more requests"))?;
    }
    Ok(())
}

fn request(index: usize, url: &str, of: Option<&DiscoveryResponse>) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: of.map(|response| response.version_info.clone()).unwrap_or_default(),
        node: Some(Node {
            id: format!("sidecar~~{}.default~", name(index)),
            cluster: String::new(),
        }),
        resource_names: Vec::new(),
        type_url: url.to_owned(),
        response_nonce: of.map(|response| response.nonce.clone()).unwrap_or_default(),
        error_detail: None,
    }
}
