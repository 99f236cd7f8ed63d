//! One connection to the agent, from dialling to its end.

use std::{convert::Infallible, error::Error as _, future::Future, time::Duration};

use remora_api::{
    MAX_MESSAGE_BYTES,
    cilium::{
        network_policy_discovery_service_client::NetworkPolicyDiscoveryServiceClient as Npds,
        network_policy_hosts_discovery_service_client::NetworkPolicyHostsDiscoveryServiceClient as Nphds,
    },
    discovery::{DiscoveryRequest, DiscoveryResponse},
    services::service_discovery_service_client::ServiceDiscoveryServiceClient as Sds,
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status, Streaming};

use super::{
    backoff::Backoff,
    chain,
    dial::{self, Link},
    exchange::{Answer, Exchange, Kind},
    waits,
};
use crate::config::{Agent, Config};

/// Requests that may wait for an agent that reads slowly. One that lets more
/// pile up is not listening.
const MAX_UNREAD_REQUESTS: usize = 16;

/// Pauses between NACKs. An agent that sends a refused version again and again
/// is answered ever more slowly; the first NACK goes out at once.
const NACK_PAUSE_FIRST: Duration = Duration::from_secs(1);
const NACK_PAUSE_LAST: Duration = Duration::from_secs(30);

/// What a stream brings: a response, or that the agent has no such stream.
type Arrival = (Kind, Result<Option<DiscoveryResponse>, String>);

/// How a connection ended.
#[derive(Debug)]
pub(super) struct Disconnected {
    /// Whether anything it brought is in force.
    pub(super) applied: bool,
    pub(super) why: String,
}

/// Connects, opens all streams and answers what they bring, until one ends.
pub(super) async fn run(config: &Config, mut exchange: Exchange) -> Disconnected {
    let Err(why) = converse(config, &mut exchange).await;
    exchange.metrics().connected(false);
    Disconnected { applied: exchange.applied(), why }
}

async fn converse(config: &Config, exchange: &mut Exchange) -> Result<Infallible, String> {
    let agent = &config.agent;
    let link = dial::dial(agent, config.keepalive, Some(&config.pod)).await?;
    let (to, mut arrivals) = mpsc::channel(1);
    let mut readers = JoinSet::new();
    let mut talk = Talk {
        policies: Outgoing::open(exchange, Kind::Policies, &link, &to, &mut readers)?,
        hosts: Outgoing::open(exchange, Kind::Hosts, &link, &to, &mut readers)?,
        services: Outgoing::open(exchange, Kind::Services, &link, &to, &mut readers)?,
    };
    drop(to);
    waits(exchange.store(), agent, exchange.missing());
    loop {
        let due = talk.due();
        tokio::select! {
            arrival = arrivals.recv() => {
                let (kind, response) = arrival.ok_or("the streams ended")?;
                let answer = match response? {
                    Some(response) => {
                        exchange.metrics().connected(true);
                        exchange.take(kind, response)
                    }
                    None => exchange.without_services(),
                };
                talk.answer(answer, kind, exchange, agent)?;
            }
            () = sleep_until(due), if due.is_some() => talk.send_due()?,
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

/// What goes to the agent, by stream.
struct Talk {
    policies: Outgoing,
    hosts: Outgoing,
    services: Outgoing,
}

/// One stream's requests.
struct Outgoing {
    requests: mpsc::Sender<DiscoveryRequest>,
    /// A NACK that is held back, and until when.
    nack: Option<(Instant, DiscoveryRequest)>,
    no_nack_before: Instant,
    pauses: Backoff,
}

impl Talk {
    fn stream(&mut self, kind: Kind) -> &mut Outgoing {
        match kind {
            Kind::Policies => &mut self.policies,
            Kind::Hosts => &mut self.hosts,
            Kind::Services => &mut self.services,
        }
    }

    /// When the next held NACK may go.
    fn due(&self) -> Option<Instant> {
        let streams = [&self.policies, &self.hosts, &self.services];
        streams.into_iter().filter_map(|stream| stream.nack.as_ref().map(|(due, _)| *due)).min()
    }

    fn send_due(&mut self) -> Result<(), String> {
        self.policies.send_due()?;
        self.hosts.send_due()?;
        self.services.send_due()
    }

    fn answer(
        &mut self,
        answer: Answer,
        kind: Kind,
        exchange: &Exchange,
        agent: &Agent,
    ) -> Result<(), String> {
        // Whatever was to be said of the stream's previous response is stale.
        self.stream(kind).nack = None;
        match answer {
            Answer::Wait => waits(exchange.store(), agent, exchange.missing()),
            Answer::Acks(acks) => {
                for (kind, request) in acks {
                    tracing::info!(stream = ?kind, version = request.version_info, "in force");
                    self.stream(kind).pauses.reset();
                    self.stream(kind).send(request)?;
                }
            }
            Answer::Nack(request) => {
                let why = request.error_detail.as_ref().map_or("", |status| &status.message);
                tracing::warn!(stream = ?kind, why, "refused; what was in force stays");
                waits(exchange.store(), agent, &format!("what it sent is refused: {why}"));
                let stream = self.stream(kind);
                stream.nack = Some((stream.no_nack_before, request));
                stream.send_due()?;
            }
        }
        Ok(())
    }
}

impl Outgoing {
    fn open(
        exchange: &Exchange,
        kind: Kind,
        link: &Link,
        to: &mpsc::Sender<Arrival>,
        readers: &mut JoinSet<()>,
    ) -> Result<Self, String> {
        let (requests, outgoing) = mpsc::channel(MAX_UNREAD_REQUESTS);
        let (channel, to) = (link.channel.clone(), to.clone());
        let outgoing = link.request(ReceiverStream::new(outgoing));
        readers.spawn(async move {
            match kind {
                Kind::Policies => {
                    let mut client =
                        Npds::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                    read(kind, client.stream_network_policies(outgoing), &to).await;
                }
                Kind::Hosts => {
                    let mut client =
                        Nphds::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                    read(kind, client.stream_network_policy_hosts(outgoing), &to).await;
                }
                Kind::Services => {
                    let mut client = Sds::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                    read(kind, client.stream_services(outgoing), &to).await;
                }
            }
        });
        let mut stream = Self {
            requests,
            nack: None,
            no_nack_before: Instant::now(),
            pauses: Backoff::new(NACK_PAUSE_FIRST, NACK_PAUSE_LAST),
        };
        stream.send(exchange.first(kind))?;
        Ok(stream)
    }

    fn send(&mut self, request: DiscoveryRequest) -> Result<(), String> {
        self.requests
            .try_send(request)
            .map_err(|error| format!("it takes no more requests: {error}"))
    }

    fn send_due(&mut self) -> Result<(), String> {
        let now = Instant::now();
        let Some((_, request)) = self.nack.take_if(|(due, _)| *due <= now) else { return Ok(()) };
        self.no_nack_before = now + self.pauses.next();
        self.send(request)
    }
}

/// Hands on what a stream brings, and at last why it ended. Services are what
/// an agent may lack.
async fn read(
    kind: Kind,
    opening: impl Future<Output = Result<Response<Streaming<DiscoveryResponse>>, Status>>,
    to: &mpsc::Sender<Arrival>,
) {
    let lacks = |status: &Status| kind == Kind::Services && status.code() == Code::Unimplemented;
    let mut stream = match opening.await {
        Ok(response) => response.into_inner(),
        Err(status) if lacks(&status) => return hand_on(kind, Ok(None), to).await,
        Err(status) => return hand_on(kind, Err(ended(&status)), to).await,
    };
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return hand_on(kind, Err("it ended the stream".into()), to).await,
            Err(status) if lacks(&status) => return hand_on(kind, Ok(None), to).await,
            Err(status) => return hand_on(kind, Err(ended(&status)), to).await,
        };
        if to.send((kind, Ok(Some(response)))).await.is_err() {
            return;
        }
    }
}

/// Why the agent ended a stream. A refusal is told in its own words: it is for
/// whoever installs.
pub(super) fn ended(status: &Status) -> String {
    let refused = match status.code() {
        Code::Unauthenticated => "it does not accept this pod's token",
        Code::PermissionDenied => "it does not serve this pod",
        code => {
            return match status.source() {
                Some(source) => format!("the connection broke: {}", chain(source)),
                None => format!("{code:?}: {}", status.message()),
            };
        }
    };
    format!("{refused}: {}", status.message())
}

async fn hand_on(
    kind: Kind,
    last: Result<Option<DiscoveryResponse>, String>,
    to: &mpsc::Sender<Arrival>,
) {
    // Nobody listens any more when the connection has been given up already.
    let _ = to.send((kind, last)).await;
}
