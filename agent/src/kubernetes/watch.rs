//! Following one kind of object: the API server's events become changes of the world.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use remora_parsers::Registry;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};

use super::kinds;
use super::troubles::{Troubles, chain};
use crate::world::{Change, Kind};

/// How long until an API server that refuses or does not answer is asked again,
/// at first and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// What all watches share.
#[derive(Clone)]
pub(super) struct Watches {
    pub(super) client: Client,
    pub(super) registry: Registry,
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) troubles: Arc<Troubles>,
}

/// Grows with every failure, and begins anew with success.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSES[0])
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = self.0.saturating_mul(2).min(PAUSES[1]);
    }
}

impl Watches {
    /// Follows a kind for as long as this is polled and somebody takes the changes.
    pub(super) async fn follow(&self, kind: Kind) {
        let resource = kinds::resource(kind);
        let api = Api::all_with(self.client.clone(), &resource);
        let events = watcher(api, watcher::Config::default());
        self.take(kind, &resource, pin!(events)).await;
    }

    async fn take(
        &self,
        kind: Kind,
        resource: &ApiResource,
        mut events: impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Unpin,
    ) {
        let mut listed = Vec::new();
        let mut pause = Pause::default();
        while let Some(event) = events.next().await {
            let change = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                // Read at once: what matters of an object is a small part of it.
                Ok(Event::InitApply(object)) => {
                    listed.push(kinds::read(kind, object, self.registry));
                    continue;
                }
                Ok(Event::InitDone) => Some(Change::Replaced(kind, std::mem::take(&mut listed))),
                Ok(Event::Apply(object)) => {
                    Some(Change::Applied(kinds::read(kind, object, self.registry)))
                }
                Ok(Event::Delete(object)) => kinds::key(kind, &object).map(Change::Deleted),
                Err(error) => {
                    self.troubles.tell(&resource.plural, &error);
                    pause.wait().await;
                    continue;
                }
            };
            self.troubles.over(&resource.plural);
            pause = Pause::default();
            if let Some(change) = change
                && !self.pass_on(kind, change).await
            {
                return;
            }
        }
    }

    /// Tells the world of a change; says whether anybody wants to know.
    async fn pass_on(&self, kind: Kind, change: Change) -> bool {
        let withdraws = matches!(change, Change::Replaced(..) | Change::Deleted(_));
        if withdraws && !self.stands(kind).await {
            // Not deleted by anybody, but swept away with their kind.
            return true;
        }
        self.changes.send(change).await.is_ok()
    }

    /// Whether a kind's definition is there to stay. When a definition is
    /// deleted its objects are too, each with an event of its own, and nobody
    /// meant to withdraw these policies. An API server that does not answer is
    /// asked until it does: until then nothing is withdrawn.
    async fn stands(&self, kind: Kind) -> bool {
        let (Kind::Policy(_) | Kind::CidrGroup) = kind else { return true };
        let name = kinds::definition(kind);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kinds::definitions());
        let mut pause = Pause::default();
        loop {
            match api.get_metadata_opt(&name).await {
                Ok(found) => {
                    let is_gone = found.is_none_or(|own| own.metadata.deletion_timestamp.is_some());
                    return !is_gone;
                }
                Err(error) => {
                    tracing::error!("asking for {name}: {}", chain(&error));
                    pause.wait().await;
                }
            }
        }
    }
}
