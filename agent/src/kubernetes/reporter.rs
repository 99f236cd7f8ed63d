//! Tells the API server what became of each policy: on change, by one replica,
//! at a bounded pace.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use remora_policy::{PolicyKind, PolicyName};
use tokio::sync::watch;
use tokio::time::sleep;

use super::kinds;
use super::status::{as_applied, desired, event, is_ours, observed};
use super::troubles::chain;
use crate::crd::PolicyStatus;
use crate::notice::{Journal, Notice, Severity, one_line};
use crate::world::{Kind, ObjectVersion, PolicyState};

/// How much is written before it is looked again what there is to write.
const BATCH: usize = 50;
/// How long until then.
const PACE: Duration = Duration::from_millis(500);
/// How long until what failed is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// Whose the fields are that are applied.
const OWNER: &str = "remora-agent";

type Key = (PolicyKind, PolicyName);

/// Who tells.
pub(super) struct Reporter {
    client: Client,
    /// What was written last, as long as nobody has told that it is there: of
    /// which object, and what.
    written: BTreeMap<Key, (String, PolicyStatus)>,
    /// The refusals that were posted: of which object, and which generation.
    posted: BTreeMap<Key, (String, i64)>,
    failures: Journal,
}

/// One thing to write.
enum Message {
    Status(Key, String, PolicyStatus),
    Event(Key, (String, i64), Box<Event>),
}

impl Reporter {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            written: BTreeMap::new(),
            posted: BTreeMap::new(),
            failures: Journal::default(),
        }
    }

    /// Tells whatever is new as long as this replica leads, and as long as this is polled.
    pub(super) async fn run(
        mut self,
        mut policies: watch::Receiver<Option<Arc<[PolicyState]>>>,
        mut leading: watch::Receiver<bool>,
    ) {
        loop {
            // Whoever elects or judges has ended, and so has the agent.
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let states = policies.borrow_and_update().clone().unwrap_or_default();
            let messages = self.news(&states, Timestamp::now());
            let is_more = messages.len() > BATCH;
            let mut failures = Vec::new();
            for message in messages.into_iter().take(BATCH) {
                failures.extend(self.tell(message).await);
            }
            let is_failed = !failures.is_empty();
            self.failures.news(failures).iter().for_each(Notice::log);
            sleep(PACE).await;
            if is_more {
                continue;
            }
            tokio::select! {
                changed = policies.changed() => if changed.is_err() { return },
                changed = leading.changed() => if changed.is_err() { return },
                () = sleep(RETRY), if is_failed => {}
            }
        }
    }

    /// What is to be written.
    fn news(&mut self, states: &[PolicyState], now: Timestamp) -> Vec<Message> {
        let key = |state: &PolicyState| (state.kind, state.name.clone());
        let known: BTreeSet<Key> = states.iter().map(key).collect();
        self.written.retain(|key, _| known.contains(key));
        self.posted.retain(|key, _| known.contains(key));
        let messages = |state: &PolicyState| {
            let Some(version) = &state.version else { return [None, None] };
            let status = self.status_of(key(state), state, version, now);
            let has_columns = is_ours(state.kind);
            let event = || self.event_of(key(state), state, version, now);
            [status, if has_columns { None } else { event() }]
        };
        states.iter().flat_map(messages).flatten().collect()
    }

    fn status_of(
        &self,
        key: Key,
        state: &PolicyState,
        version: &ObjectVersion,
        now: Timestamp,
    ) -> Option<Message> {
        let status = desired(state, version, now);
        let is_there = status == observed(state.kind, version);
        // Times differ from one look to the next, and mean nothing more.
        let is_written = self.written.get(&key).is_some_and(|(uid, written)| {
            *uid == version.uid && without_time(written) == without_time(&status)
        });
        (!is_there && !is_written).then(|| Message::Status(key, version.uid.clone(), status))
    }

    fn event_of(
        &self,
        key: Key,
        state: &PolicyState,
        version: &ObjectVersion,
        now: Timestamp,
    ) -> Option<Message> {
        let about = (version.uid.clone(), version.generation);
        let event = event(state, version, now)?;
        let is_new = self.posted.get(&key) != Some(&about);
        is_new.then(|| Message::Event(key, about, Box::new(event)))
    }

    /// Writes; gives what went wrong.
    async fn tell(&mut self, message: Message) -> Option<Notice> {
        let (kind, name) = match &message {
            Message::Status(key, ..) | Message::Event(key, ..) => key.clone(),
        };
        let error = match message {
            Message::Status(key, uid, status) => {
                let error = self.patch(&key, &status).await.err();
                if error.is_none() {
                    self.written.insert(key, (uid, status));
                }
                error
            }
            Message::Event(key, about, event) => {
                let error = self.post(&event).await.err();
                if error.is_none() {
                    self.posted.insert(key, about);
                }
                error
            }
        };
        let error = error.filter(|error| !is_gone(error))?;
        let text = format!(
            "{kind} {name}: its author cannot be told what became of it: {}; see that the agent's role allows it",
            one_line(&chain(&error))
        );
        Some(Notice::new(Severity::Warning, 0, text))
    }

    async fn patch(&self, (kind, name): &Key, status: &PolicyStatus) -> kube::Result<()> {
        let resource = kinds::resource(Kind::Policy(*kind));
        let api: Api<DynamicObject> = match &name.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        if is_ours(*kind) {
            let patch = Patch::Merge(serde_json::json!({ "status": status }));
            return api.patch_status(&name.name, &PatchParams::default(), &patch).await.map(drop);
        }
        // A list with other writers: applied, each keeps its own items.
        let patch = Patch::Apply(as_applied((*kind, name), status));
        let as_owner = PatchParams::apply(OWNER).force();
        api.patch_status(&name.name, &as_owner, &patch).await.map(drop)
    }

    async fn post(&self, event: &Event) -> kube::Result<()> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        api.create(&PostParams::default(), event).await.map(drop)
    }
}

fn without_time(status: &PolicyStatus) -> PolicyStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition.last_transition_time = Timestamp::UNIX_EPOCH;
    }
    status
}

/// The policy was deleted meanwhile.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
