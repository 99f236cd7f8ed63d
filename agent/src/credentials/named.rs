//! One object of the API server, by its name.

use std::fmt::Debug;
use std::pin::pin;

use kube::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_api};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_stream::StreamExt;

use super::explain_watch;

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State<T> {
    /// It was not looked for yet.
    Unknown,
    /// There is none.
    Absent,
    /// It is there.
    Present(T),
}

/// Tells `states` of every change of the object `name`, as `read` has it. `what` it is is for
/// the log.
pub(super) async fn follow<K, T>(
    api: Api<K>,
    (what, name): (&str, &str),
    states: watch::Sender<State<T>>,
    read: impl Fn(K) -> T,
) where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Clone + PartialEq,
{
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watch_api(api, only).default_backoff());
    let mut listed = State::Absent;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = State::Absent,
            Ok(Event::InitApply(object)) => listed = State::Present(read(object)),
            Ok(Event::InitDone) => tell(&states, listed.clone()),
            Ok(Event::Apply(object)) => tell(&states, State::Present(read(object))),
            Ok(Event::Delete(_)) => tell(&states, State::Absent),
            Err(error) => tracing::error!(
                "watching {what}: {}; see that the agent's role allows it",
                explain_watch(&error)
            ),
        }
    }
}

fn tell<T: PartialEq>(states: &watch::Sender<State<T>>, state: State<T>) {
    states.send_if_modified(|before| {
        let is_news = *before != state;
        *before = state;
        is_news
    });
}
