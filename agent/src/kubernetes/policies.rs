//! Following one kind of policy, whose definition may come, change and go.

use std::pin::pin;

use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::watch_object;
use remora_policy::PolicyKind;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;

use super::definition::Definition;
use super::kinds;
use super::watch::{Pause, Watches};
use crate::world::{Change, Kind, Served};

/// A watch that ends with this.
pub(super) struct Following(pub(super) JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watches {
    /// Follows a kind of policy for as long as this is polled and somebody
    /// takes the changes.
    pub(super) async fn follow_policies(&self, kind: PolicyKind) {
        let name = kinds::definition(Kind::Policy(kind));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kinds::definitions());
        let mut definitions = pin!(watch_object(api, &name));
        let mut pause = Pause::default();
        let mut last = None;
        let mut following = None;
        while let Some(found) = definitions.next().await {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.troubles.tell(&name, &error);
                    pause.wait().await;
                    continue;
                }
            };
            self.troubles.over(&name);
            pause = Pause::default();
            let json = found.and_then(|object| serde_json::to_value(object).ok());
            let now = Definition::of(kind, json.as_ref());
            if last == Some(now) {
                continue;
            }
            tracing::debug!("{name}: {now:?}");
            // Before the world hears of it: nothing that comes with the end counts.
            drop(following.take());
            let had_any = last.is_some_and(|last| last != Definition::Absent);
            if self.changes.send(Change::Served(kind, served(now, had_any))).await.is_err() {
                return;
            }
            if matches!(now, Definition::Stands(_)) {
                let own = self.clone();
                // Also when only its schema changed: objects are then served otherwise.
                let task = tokio::spawn(async move { own.follow(Kind::Policy(kind)).await });
                following = Some(Following(task));
            }
            last = Some(now);
        }
    }
}

fn served(now: Definition, had_any: bool) -> Served {
    match now {
        Definition::Stands(served) => served,
        Definition::Absent | Definition::Going if had_any => Served::Gone,
        Definition::Absent | Definition::Going => Served::Absent,
    }
}
