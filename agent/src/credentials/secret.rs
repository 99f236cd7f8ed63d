//! The Secret that keeps the CA: followed by all, written by the leader.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use remora_certs::Authority;
use tokio::sync::watch;

use super::named::{self, State};
use super::{CA, MANAGER, Owners, is_owned};

/// The Secret as it was read.
#[derive(Clone, PartialEq)]
pub(super) struct Stored {
    version: Option<String>,
    owners: Owners,
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

    /// Whether it goes away with all of these.
    pub(super) fn is_owned(&self, owners: &Owners) -> bool {
        is_owned(&self.owners, owners)
    }
}

/// Tells `states` of every change of the Secret.
pub(super) async fn follow(client: Client, namespace: &str, states: watch::Sender<State<Stored>>) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let what = format!("secret {namespace}/{CA}");
    named::follow(api, (&what, CA), states, |secret| read(secret, namespace)).await;
}

/// Writes this CA: anew, or in the place of `before`, if it is still that.
pub(super) async fn write(
    client: &Client,
    namespace: &str,
    authority: &Authority,
    (before, owners): (Option<&Stored>, &Owners),
) -> kube::Result<()> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data = authority.to_fields().into_iter().map(|(name, value)| (name, ByteString(value)));
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(CA.to_owned()),
            namespace: Some(namespace.to_owned()),
            owner_references: owners.clone(),
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

fn read(secret: Secret, namespace: &str) -> Stored {
    let fields = secret.data.unwrap_or_default().into_iter();
    Stored {
        version: secret.metadata.resource_version,
        owners: secret.metadata.owner_references,
        fields: fields.map(|(name, value)| (name, value.0)).collect(),
        origin: format!("secret {namespace}/{CA}"),
    }
}
