//! The Secret that keeps the CA: followed by all, written by the leader.

use std::collections::BTreeMap;
use std::pin::pin;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_api};
use kube::{Api, Client};
use remora_certs::Authority;
use tokio::sync::watch;
use tokio_stream::StreamExt;

use super::{CA, MANAGER, explain_watch};

/// What is known of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was not looked for yet.
    Unknown,
    /// There is none.
    Absent,
    /// It is there.
    Present(Stored),
}

/// The Secret as it was read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stored {
    version: Option<String>,
    fields: BTreeMap<String, Vec<u8>>,
    origin: String,
}

/// Its fields hold keys.
impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:?}", self.origin, self.version)
    }
}

impl Stored {
    /// The CA in it.
    ///
    /// # Errors
    /// Somebody else wrote there: the error names the field.
    pub(super) fn authority(&self) -> Result<Authority, remora_certs::Error> {
        Authority::from_fields(&self.fields, &self.origin)
    }
}

/// Tells `states` of every change of the Secret.
pub(super) async fn follow(client: Client, namespace: &str, states: watch::Sender<State>) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={CA}"));
    let mut events = pin!(watch_api(api, only).default_backoff());
    let mut listed = State::Absent;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = State::Absent,
            Ok(Event::InitApply(secret)) => listed = read(secret, namespace),
            Ok(Event::InitDone) => tell(&states, listed.clone()),
            Ok(Event::Apply(secret)) => tell(&states, read(secret, namespace)),
            Ok(Event::Delete(_)) => tell(&states, State::Absent),
            Err(error) => tracing::error!(
                "watching secret {namespace}/{CA}: {}; see that the agent's role allows it",
                explain_watch(&error)
            ),
        }
    }
}

/// Writes this CA: anew, or in the place of `before`, if it is still that.
pub(super) async fn write(
    client: &Client,
    namespace: &str,
    authority: &Authority,
    before: Option<&Stored>,
) -> kube::Result<()> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data = authority.to_fields().into_iter().map(|(name, value)| (name, ByteString(value)));
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(CA.to_owned()),
            namespace: Some(namespace.to_owned()),
            resource_version: before.and_then(|before| before.version.clone()),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match before {
        None => api.create(&params, &secret).await.map(drop),
        Some(_) => api.replace(CA, &params, &secret).await.map(drop),
    }
}

fn read(secret: Secret, namespace: &str) -> State {
    let fields = secret.data.unwrap_or_default().into_iter();
    State::Present(Stored {
        version: secret.metadata.resource_version,
        fields: fields.map(|(name, value)| (name, value.0)).collect(),
        origin: format!("secret {namespace}/{CA}"),
    })
}

fn tell(states: &watch::Sender<State>, state: State) {
    states.send_if_modified(|before| {
        let is_news = *before != state;
        *before = state;
        is_news
    });
}
