//! The service account of the proxies of nodes, and what they may ask.

use std::fmt;
use std::str::FromStr;

use remora_api::POD_HEADER;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::identity::Identity;
use crate::world::PodKey;

/// The account as whose pods the nodes' proxies run, as `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// Why a text names no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it names no service account; write NAMESPACE/NAME, such as remora/remora-node")]
pub struct NoAccount;

impl FromStr for NodeAccount {
    type Err = NoAccount;

    fn from_str(text: &str) -> Result<Self, NoAccount> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(NoAccount),
        }
    }
}

impl fmt::Display for NodeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl NodeAccount {
    /// Whether a token is this account's.
    pub(super) fn is(&self, identity: &Identity) -> bool {
        identity.pod.namespace == self.namespace && identity.service_account == self.name
    }

    /// The node for which a token of this account speaks.
    pub(super) fn node<'a>(&self, identity: &'a Identity) -> Result<&'a str, Status> {
        identity.node.as_deref().ok_or_else(|| {
            Status::permission_denied(format!(
                "the token of {self} does not name its node: the API server has to be Kubernetes 1.30 or later"
            ))
        })
    }
}

/// The pod that a request names, and its uid.
pub(super) fn asked_for(metadata: &MetadataMap) -> Result<(PodKey, String), Status> {
    let mut values = metadata.get_all(POD_HEADER).iter();
    let (value, more) = (values.next(), values.next());
    let text = value.filter(|_| more.is_none()).and_then(|value| value.to_str().ok());
    let parts: Vec<&str> = text.unwrap_or_default().split('/').collect();
    match parts.as_slice() {
        [namespace, name, uid] if !parts.contains(&"") => {
            let key = PodKey { namespace: (*namespace).to_owned(), name: (*name).to_owned() };
            Ok((key, (*uid).to_owned()))
        }
        _ => Err(Status::invalid_argument(format!(
            "{POD_HEADER} names no pod: it is one NAMESPACE/NAME/UID"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_namespace_and_a_name() {
        let account: NodeAccount = "remora/remora-node".parse().expect("an account");
        assert_eq!(account.to_string(), "remora/remora-node");
        for wrong in ["", "remora", "/", "remora/", "/remora-node", "a/b/c"] {
            assert_eq!(wrong.parse::<NodeAccount>(), Err(NoAccount), "{wrong}");
        }
    }

    #[test]
    fn a_request_names_one_pod_whole() {
        let read = |values: &[&str]| {
            let mut metadata = MetadataMap::new();
            for value in values {
                metadata.append(POD_HEADER, value.parse().expect("a value"));
            }
            asked_for(&metadata).map(|(key, uid)| format!("{key} {uid}")).ok()
        };
        assert_eq!(read(&["shop/cache/7a"]), Some("shop/cache 7a".to_owned()));
        let wrong: [&[&str]; 7] = [
            &[],
            &[""],
            &["shop/cache"],
            &["shop/cache/"],
            &["shop//7a"],
            &["shop/cache/7a/b"],
            &["shop/cache/7a", "shop/cache/7a"],
        ];
        for values in wrong {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
