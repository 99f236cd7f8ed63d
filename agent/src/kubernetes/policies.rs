//! Following one kind of policy, whose definition may come, change and go.

use remora_policy::PolicyKind;

use super::definition::Definition;
use super::watch::Watches;
use crate::world::{Change, Kind, Served};

impl Watches {
    /// Follows a kind of policy for as long as this is polled and somebody
    /// takes the changes.
    pub(super) async fn follow_policies(&self, kind: PolicyKind) {
        let mut definitions = self.definitions(Kind::Policy(kind));
        let mut last = None;
        let mut following = None;
        while let Some(json) = definitions.next().await {
            let now = Definition::of(kind, json.as_ref());
            if last == Some(now) {
                continue;
            }
            tracing::debug!("{}: {now:?}", definitions.name());
            // Before the world hears of it: nothing that comes with the end counts.
            drop(following.take());
            let had_any = last.is_some_and(|last| last != Definition::Absent);
            if self.changes.send(Change::Served(kind, served(now, had_any))).await.is_err() {
                return;
            }
            if matches!(now, Definition::Stands(_)) {
                // Also when only its schema changed: objects are then served otherwise.
                following = Some(self.following(Kind::Policy(kind)));
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
