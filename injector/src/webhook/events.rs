//! Events on the owners of pods: sent after the answer, from a queue that may overflow.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::certificate::explain;
use super::counters::Counters;
use crate::admission::Story;

/// Stories that wait. What comes when it is full is lost, and counted.
const QUEUE: usize = 256;
/// How many Events a second, at most.
const PACE: Duration = Duration::from_millis(50);
/// How long the API server may take for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many told stories are remembered, and how long: a story is told once in that time.
const MEMORY: usize = 4096;
const MEMORY_LIFE: Duration = Duration::from_secs(1800);
/// Who reports, for the API server and for people.
const CONTROLLER: &str = "remora.dev/injector";

/// Where stories are dropped.
#[derive(Clone, Debug)]
pub struct Mailbox(mpsc::Sender<Story>);

impl Mailbox {
    /// A mailbox, and what comes out of it.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Story>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Drops a story, without ever waiting.
    pub fn post(&self, story: Story, counters: &Counters) {
        if self.0.try_send(story).is_err() {
            counters.events_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Tells the API server what comes, at a bounded pace, until nobody can write any more.
pub async fn deliver(
    client: Client,
    replica: String,
    mut stories: mpsc::Receiver<Story>,
    counters: Arc<Counters>,
) {
    let mut told = HashSet::new();
    let mut since = Instant::now();
    while let Some(story) = stories.recv().await {
        if told.len() >= MEMORY || since.elapsed() > MEMORY_LIFE {
            told.clear();
            since = Instant::now();
        }
        let event = event(&story, &replica, Timestamp::now());
        let name = event.metadata.name.clone().unwrap_or_default();
        if !told.insert((story.owner.namespace.clone(), name)) {
            continue;
        }
        let api: Api<Event> = Api::namespaced(client.clone(), &story.owner.namespace);
        let params = PostParams::default();
        match timeout(PATIENCE, api.create(&params, &event)).await {
            Ok(Ok(_)) => {}
            // Another replica, or an earlier pod of that owner.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) => lost(&counters, &explain(&error)),
            Err(_) => lost(&counters, "no answer"),
        }
        sleep(PACE).await;
    }
}

fn lost(counters: &Counters, why: &str) {
    counters.events_lost.fetch_add(1, Ordering::Relaxed);
    tracing::warn!("an Event could not be told: {why}; see that the injector's role allows it");
}

/// The Event of a story. Its name follows from what it tells, so that a thousand pods of one
/// owner, seen by any replica, are one Event.
#[must_use]
pub fn event(story: &Story, replica: &str, now: Timestamp) -> Event {
    let mut hasher = DefaultHasher::new();
    story.hash(&mut hasher);
    let owner = &story.owner;
    Event {
        metadata: ObjectMeta {
            name: Some(format!("remora-injector.{:016x}", hasher.finish())),
            namespace: Some(owner.namespace.clone()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(replica.to_owned()),
        action: Some("Inject".to_owned()),
        reason: Some(story.reason.to_owned()),
        type_: Some(if story.is_warning { "Warning" } else { "Normal" }.to_owned()),
        note: Some(story.note.clone()),
        regarding: Some(ObjectReference {
            api_version: Some(owner.api_version.clone()),
            kind: Some(owner.kind.clone()),
            namespace: Some(owner.namespace.clone()),
            name: Some(owner.name.clone()),
            uid: owner.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}
