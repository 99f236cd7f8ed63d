//! The bundle in the namespaces: what is there, and what should be.

use std::collections::BTreeMap;
use std::pin::pin;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_api};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_stream::StreamExt;

use super::{BUNDLE, CA, MANAGER, Owners, explain_watch, is_owned};

/// The bundle of each namespace that has one; none until they have been listed.
pub(super) type Published = Option<BTreeMap<String, String>>;

/// Tells `published` of every change, whoever makes it.
pub(super) async fn follow(client: Client, owners: &Owners, published: watch::Sender<Published>) {
    let read = |map| read(map, owners);
    let api: Api<ConfigMap> = Api::all(client);
    let only = watcher::Config::default().fields(&format!("metadata.name={CA}"));
    let mut events = pin!(watch_api(api, only).default_backoff());
    let mut listed = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(map)) => listed.extend([read(map)]),
            Ok(Event::InitDone) => {
                published.send_replace(Some(std::mem::take(&mut listed)));
            }
            Ok(Event::Apply(map)) => {
                let (namespace, bundle) = read(map);
                published.send_modify(|all| {
                    all.iter_mut()
                        .for_each(|all| drop(all.insert(namespace.clone(), bundle.clone())));
                });
            }
            Ok(Event::Delete(map)) => {
                let (namespace, _) = read(map);
                published.send_modify(|all| {
                    all.iter_mut().for_each(|all| drop(all.remove(&namespace)));
                });
            }
            Err(error) => tracing::error!(
                "watching config maps {CA}: {}; see that the agent's role allows it",
                explain_watch(&error)
            ),
        }
    }
}

/// Puts the bundle into a namespace, whatever stood there.
///
/// # Errors
/// The API server's.
pub(super) async fn publish(
    client: &Client,
    namespace: &str,
    (bundle, owners): (&str, &Owners),
) -> kube::Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(CA.to_owned()),
            owner_references: owners.clone(),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(BUNDLE.to_owned(), bundle.to_owned())])),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(MANAGER).force();
    api.patch(CA, &params, &Patch::Apply(&map)).await.map(drop)
}

/// Whether the error says that the namespace is on its way out.
pub(super) fn is_leaving(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.code == 404
        || (status.code == 403 && status.message.contains("because it is being terminated"))
}

/// What is not owned as it should be counts as empty, and so is written anew.
fn read(map: ConfigMap, owners: &Owners) -> (String, String) {
    let data = map.data.filter(|_| is_owned(&map.metadata.owner_references, owners));
    let bundle = data.unwrap_or_default().remove(BUNDLE).unwrap_or_default();
    (map.metadata.namespace.unwrap_or_default(), bundle)
}
