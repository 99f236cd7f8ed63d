//! With whom what the agent makes goes away: a ClusterRole of the installation, since only an
//! object of the whole cluster may own others in every namespace.

use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client};

use crate::credentials::{Owners, explain};

/// The owner of this name. Without one, nothing is owned: what is made stays behind then, which
/// is told, and no reason not to serve.
pub(super) async fn find(client: &Client, name: Option<&str>) -> Owners {
    let name = name?;
    let api: Api<ClusterRole> = Api::all(client.clone());
    let uid = match api.get_metadata(name).await {
        Ok(role) => role.metadata.uid.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(
                "cluster role {name}: {}; what the agent makes will stay when it goes: see that its role allows it, or leave --owner away",
                explain(&error)
            );
            return None;
        }
    };
    Some(vec![OwnerReference {
        api_version: "rbac.authorization.k8s.io/v1".to_owned(),
        kind: "ClusterRole".to_owned(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    }])
}
