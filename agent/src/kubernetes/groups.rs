//! Following `CiliumCIDRGroup`s, of whose kind there may be no definition.

use super::definition;
use super::watch::Watches;
use crate::world::{Change, Kind};

/// The version that is read.
const VERSION: &str = "v2";

impl Watches {
    /// Follows groups of addresses for as long as this is polled and somebody
    /// takes the changes. Where a definition goes, the groups stay as they
    /// were: nobody meant to withdraw them.
    pub(super) async fn follow_groups(&self) {
        let mut definitions = self.definitions(Kind::CidrGroup);
        let mut last = None;
        let mut following = None;
        while let Some(json) = definitions.next().await {
            let is_served = definition::is_served(VERSION, json.as_ref());
            if last == Some(is_served) {
                continue;
            }
            drop(following.take());
            if is_served {
                following = Some(self.following(Kind::CidrGroup));
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
