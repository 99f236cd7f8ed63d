//! What one pod, or one node, is to know now, and what its proxy made of it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prost::Message;
use prost::encoding::message;
use prost_types::Any;
use remora_api::{
    ENDPOINT_URL, MAX_MESSAGE_BYTES, NETWORK_POLICY_HOSTS_URL, NETWORK_POLICY_URL, SERVICE_URL,
};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Counters;
use super::bucket::{Bucket, Rate};
use crate::world::{HoldBack, OnNode, PodKey, PodSlice};

/// How many streams one pod may have at a time: three for each connection. What
/// holds for a pod here and below holds for a node, too.
const MAX_STREAMS: usize = 24;
/// How often it may open one: each is answered with a whole slice.
const OPENINGS: Rate = Rate { burst: 64, per_second: 4 };
/// How many connections one pod may have at a time: its sidecar has one, and
/// one that is starting may overlap with one that is draining.
const MAX_CONNECTIONS: usize = 8;
/// What a response holds beside its resources: version, nonce and type.
const ENVELOPE_BYTES: usize = 1024;
/// The number of `DiscoveryResponse.resources`.
const RESOURCES_TAG: u32 = 2;

/// Which of the discovery services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// NPDS.
    Policy,
    /// NPHDS.
    Hosts,
    /// Our own, of the services that the pod may call.
    Services,
    /// Our own, of the pods that a node's proxy serves.
    Endpoints,
}

/// Whom something is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A pod, with its uid.
    Pod(PodKey, String),
    /// A node, by its name.
    Node(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(key, _) => key.fmt(f),
            Self::Node(name) => write!(f, "node {name}"),
        }
    }
}

impl Kind {
    pub(super) const fn url(self) -> &'static str {
        match self {
            Self::Policy => NETWORK_POLICY_URL,
            Self::Hosts => NETWORK_POLICY_HOSTS_URL,
            Self::Services => SERVICE_URL,
            Self::Endpoints => ENDPOINT_URL,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Hosts => "hosts",
            Self::Services => "services",
            Self::Endpoints => "endpoints",
        }
    }
}

/// Resources and their version: unix milliseconds of their last change, so that
/// it also grows from one run of the agent to the next.
#[derive(Clone, Debug)]
pub(super) struct Versioned {
    pub(super) version: u64,
    pub(super) resources: Arc<[Any]>,
}

/// One consistent slice. All parts are missing as long as none could be made.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    policy: Option<Versioned>,
    hosts: Option<Versioned>,
    services: Option<Versioned>,
    /// Of a node, which has nothing else.
    endpoints: Option<Versioned>,
    /// What they were made of.
    pub(super) slice: Option<Arc<PodSlice>>,
}

impl State {
    pub(super) fn part(&self, kind: Kind) -> Option<&Versioned> {
        match kind {
            Kind::Policy => self.policy.as_ref(),
            Kind::Hosts => self.hosts.as_ref(),
            Kind::Services => self.services.as_ref(),
            Kind::Endpoints => self.endpoints.as_ref(),
        }
    }
}

/// The side that changes what a pod is to know.
#[derive(Debug)]
pub(super) struct Publisher {
    subject: Subject,
    /// Holds the slice too, which is compared in place of encoded bytes: these
    /// differ with the order of maps.
    state: watch::Sender<State>,
    /// The last slice that was not published, so that this is told once.
    too_large: Option<Arc<PodSlice>>,
}

/// The side that tells the pod's sidecar.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) subject: Subject,
    /// A pod's own.
    pub(super) service_account: String,
    /// A pod whose own token is nobody's who asks: its node's proxy does.
    pub(super) is_of_node: bool,
    pub(super) state: watch::Receiver<State>,
    /// How far each open hosts stream is: the version that it has accepted or refused.
    pub(super) settled_hosts: watch::Sender<BTreeMap<u64, u64>>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) connections: Arc<Semaphore>,
    /// Who waits for this pod's sidecar to forget an address, where that is kept.
    pub(super) holdback: Option<Arc<HoldBack>>,
    pub(super) counters: Arc<Counters>,
    openings: Mutex<Bucket>,
    open: AtomicUsize,
    refused: Mutex<BTreeMap<Kind, u64>>,
}

impl Publisher {
    /// A pod that has no slice yet.
    pub(super) fn new(
        pod: PodKey,
        slice: &PodSlice,
        holdback: Option<&Arc<HoldBack>>,
        counters: &Arc<Counters>,
    ) -> (Self, Feed) {
        let subject = Subject::Pod(pod, slice.uid.clone());
        let (publisher, mut feed) = Self::of(subject, counters);
        feed.service_account.clone_from(&slice.service_account);
        feed.is_of_node = slice.is_of_node;
        feed.holdback = holdback.cloned();
        (publisher, feed)
    }

    /// A node whose endpoints are not known yet.
    pub(super) fn of_node(name: &str, counters: &Arc<Counters>) -> (Self, Feed) {
        Self::of(Subject::Node(name.to_owned()), counters)
    }

    fn of(subject: Subject, counters: &Arc<Counters>) -> (Self, Feed) {
        let (state, receiver) = watch::channel(State::default());
        let feed = Feed {
            subject: subject.clone(),
            service_account: String::new(),
            is_of_node: false,
            state: receiver,
            settled_hosts: watch::Sender::new(BTreeMap::new()),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            holdback: None,
            counters: Arc::clone(counters),
            openings: Mutex::new(Bucket::new(OPENINGS, Instant::now())),
            open: AtomicUsize::new(0),
            refused: Mutex::new(BTreeMap::new()),
        };
        (Self { subject, state, too_large: None }, feed)
    }

    /// Makes this the pod's slice, if it is another than before.
    ///
    /// A slice too large for a message is not taken, like a policy that is
    /// refused: the last one stays, and without one the sidecar denies everything.
    pub(super) fn publish(&mut self, slice: &Arc<PodSlice>) {
        if self.too_large.as_ref().is_some_and(|last| is_same(last, slice)) {
            return;
        }
        self.too_large = None;
        let before = self.state.borrow().slice.clone();
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, slice)) {
            return;
        }
        let before = before.as_deref();
        let has_policy = before.is_some_and(|before| before.policy == slice.policy);
        let has_hosts = before.is_some_and(|before| has_same_hosts(before, slice));
        let has_services = before.is_some_and(|before| has_same_services(before, slice));
        if has_policy && has_hosts && has_services {
            return;
        }
        let policy = vec![any(Kind::Policy, &slice.policy)];
        let hosts: Vec<_> = slice.hosts.iter().map(|hosts| any(Kind::Hosts, hosts)).collect();
        let services: Vec<_> = slice.services.iter().map(|own| any(Kind::Services, own)).collect();
        let parts = [(Kind::Policy, &policy), (Kind::Hosts, &hosts), (Kind::Services, &services)];
        for (kind, resources) in parts {
            let bytes = message::encoded_len_repeated(RESOURCES_TAG, resources);
            if bytes.saturating_add(ENVELOPE_BYTES) > MAX_MESSAGE_BYTES {
                self.tell_too_large(kind, bytes);
                self.too_large = Some(Arc::clone(slice));
                return;
            }
        }
        let slice = Arc::clone(slice);
        // Together, so that no stream ever sees the one without the other.
        self.state.send_modify(|state| {
            if !has_policy {
                state.policy = Some(next(state.policy.as_ref(), policy.into()));
            }
            if !has_hosts {
                state.hosts = Some(next(state.hosts.as_ref(), hosts.into()));
            }
            if !has_services {
                state.services = Some(next(state.services.as_ref(), services.into()));
            }
            state.slice = Some(slice);
        });
    }

    /// Makes these the node's endpoints; the caller knows that they are others
    /// than before, and that a message holds them.
    pub(super) fn publish_endpoints(&self, endpoints: &[Arc<OnNode>]) {
        let all = endpoints.iter().map(|own| any(Kind::Endpoints, &own.endpoint)).collect();
        self.state.send_modify(|state| {
            state.endpoints = Some(next(state.endpoints.as_ref(), all));
        });
    }

    fn tell_too_large(&self, kind: Kind, bytes: usize) {
        let consequence = match self.state.borrow().part(kind) {
            Some(_) => "its last slice stays in force",
            None => "its sidecar denies everything",
        };
        tracing::error!(
            "{}: its {} would be {bytes} bytes, more than a message may have ({MAX_MESSAGE_BYTES}): {consequence}; let its policies select fewer pods",
            self.subject,
            kind.name(),
        );
    }
}

impl Feed {
    /// Whether its sidecar may open one more stream now.
    pub(super) fn may_open(&self) -> bool {
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        openings.take(1, Instant::now())
    }

    /// A stream was opened.
    pub(super) fn opened(&self) {
        if self.open.fetch_add(1, Ordering::Relaxed) == 0 && self.is_pods() {
            self.counters.sidecar_came();
        }
    }

    /// A stream has ended.
    pub(super) fn closed(&self) {
        if self.open.fetch_sub(1, Ordering::Relaxed) == 1 && self.is_pods() {
            self.counters.sidecar_went();
        }
    }

    fn is_pods(&self) -> bool {
        matches!(self.subject, Subject::Pod(..))
    }

    /// Notes that the sidecar refused a version. Says whether that is news.
    pub(super) fn refuse(&self, kind: Kind, version: u64) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(kind, version) != Some(version)
    }

    pub(super) fn is_refused(&self, kind: Kind, version: u64) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(&kind) == Some(&version)
    }
}

/// Whether the two say the same; that they are the same is soon seen.
fn is_same(one: &Arc<PodSlice>, other: &Arc<PodSlice>) -> bool {
    Arc::ptr_eq(one, other)
        || one.policy == other.policy && has_same_hosts(one, other) && has_same_services(one, other)
}

fn has_same_services(one: &PodSlice, other: &PodSlice) -> bool {
    Arc::ptr_eq(&one.services, &other.services) || one.services == other.services
}

fn has_same_hosts(one: &PodSlice, other: &PodSlice) -> bool {
    Arc::ptr_eq(&one.hosts, &other.hosts) || one.hosts == other.hosts
}

fn any(kind: Kind, message: &impl Message) -> Any {
    Any { type_url: kind.url().to_owned(), value: message.encode_to_vec() }
}

/// How many bytes an endpoint takes in a message.
pub(super) fn endpoint_bytes(own: &OnNode) -> usize {
    message::encoded_len(RESOURCES_TAG, &any(Kind::Endpoints, &own.endpoint))
}

/// How many bytes the resources of a message may take together.
pub(super) const MAX_RESOURCES_BYTES: usize = MAX_MESSAGE_BYTES - ENVELOPE_BYTES;

fn next(before: Option<&Versioned>, resources: Arc<[Any]>) -> Versioned {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(0);
    let least = before.map_or(1, |before| before.version.saturating_add(1));
    Versioned { version: now.max(least), resources }
}
