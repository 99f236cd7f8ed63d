//! Following a kind's definition, which may come, change and go.

use std::pin::Pin;
use std::sync::Arc;

use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, watch_object};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt};

use super::kinds;
use super::troubles::Troubles;
use super::watch::{Pause, Watches};
use crate::world::Kind;

/// A watch that ends with this.
pub(super) struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One definition over time.
pub(super) struct Definitions {
    name: String,
    found: Pin<Box<dyn Stream<Item = watcher::Result<Option<DynamicObject>>> + Send>>,
    pause: Pause,
    troubles: Arc<Troubles>,
}

impl Watches {
    /// Begins to look at the definition of a kind.
    pub(super) fn definitions(&self, kind: Kind) -> Definitions {
        let name = kinds::definition(kind);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kinds::definitions());
        Definitions {
            found: Box::pin(watch_object(api, &name)),
            name,
            pause: Pause::default(),
            troubles: Arc::clone(&self.troubles),
        }
    }

    /// Follows the objects of a kind until what is returned is dropped.
    pub(super) fn following(&self, kind: Kind) -> Following {
        let own = self.clone();
        Following(tokio::spawn(async move { own.follow(kind).await }))
    }
}

impl Definitions {
    /// The definition's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The definition as it is now, and then after each change: the inner
    /// `None` where there is none. An API server that refuses or does not
    /// answer is asked again.
    pub(super) async fn next(&mut self) -> Option<Option<Value>> {
        loop {
            match self.found.next().await? {
                Ok(found) => {
                    self.troubles.over(&self.name);
                    self.pause = Pause::default();
                    return Some(found.and_then(|object| serde_json::to_value(object).ok()));
                }
                Err(error) => {
                    self.troubles.tell(&self.name, &error);
                    self.pause.wait().await;
                }
            }
        }
    }
}
