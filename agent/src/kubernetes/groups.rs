//! Following `CiliumCIDRGroup`s, of whose kind there may be no definition.

use std::pin::pin;

use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::watch_object;
use tokio_stream::StreamExt;

use super::definition;
use super::kinds;
use super::policies::Following;
use super::watch::{Pause, Watches};
use crate::world::{Change, Kind};

/// The version that is read.
const VERSION: &str = "v2";

impl Watches {
    /// Follows groups of addresses for as long as this is polled and somebody
    /// takes the changes. Where a definition goes, the groups stay as they
    /// were: nobody meant to withdraw them.
    pub(super) async fn follow_groups(&self) {
        let name = kinds::definition(Kind::CidrGroup);
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
            let is_served = definition::is_served(VERSION, json.as_ref());
            if last == Some(is_served) {
                continue;
            }
            drop(following.take());
            if is_served {
                let own = self.clone();
                let task = tokio::spawn(async move { own.follow(Kind::CidrGroup).await });
                following = Some(Following(task));
            } else if last.is_none() {
                let none = Change::Replaced(Kind::CidrGroup, Vec::new());
                if self.changes.send(none).await.is_err() {
                    return;
                }
            }
            last = Some(is_served);
        }
    }
}
