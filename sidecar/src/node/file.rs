//! An endpoint's file: where the pod's network is, and the variables that its
//! sidecar would have.
//!
//! ```json
//! {"network": "/proc/4711/ns/net", "inode": 4026532201, "variables": {"REMORA_POD_NAME": "cache", "…": "…"}}
//! ```
//!
//! The inode, if it is given, says which network was meant: of a process's number
//! another process may have become the owner.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, ConfigError},
    errors::StartError,
    network::Network,
};

/// What a file holds.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) network: PathBuf,
    #[serde(default)]
    pub(crate) inode: Option<u64>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// Why an endpoint is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("it is no endpoint: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its network {}: {error}", .path.display())]
    Network { path: PathBuf, error: io::Error },
    #[error("its network {} is another one by now", .0.display())]
    Another(PathBuf),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("there are no variables {0}; leave them out")]
    Unknown(String),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Reads a file; to be called at home.
///
/// # Errors
/// An [`EndpointError`] that names what is wrong.
pub(super) fn read(text: &[u8]) -> Result<Config, EndpointError> {
    let File { network: path, inode, variables } = serde_json::from_slice(text)?;
    let failed = |error| EndpointError::Network { path: path.clone(), error };
    let network = Network::at(&path).map_err(failed)?;
    if inode.is_some() && inode != network.inode().map_err(failed)? {
        return Err(EndpointError::Another(path));
    }
    configured(&variables, network)
}

/// Of a variable that means nothing here, its author meant something.
fn configured(
    variables: &BTreeMap<String, String>,
    network: Network,
) -> Result<Config, EndpointError> {
    let asked = RefCell::new(BTreeSet::new());
    let get = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        variables.get(name).cloned()
    };
    let config = Config::of_endpoint(get, network)?;
    let asked = asked.borrow();
    let unknown: Vec<_> = variables.keys().filter(|name| !asked.contains(*name)).collect();
    match unknown.as_slice() {
        [] => Ok(config),
        some => Err(EndpointError::Unknown(format!("{some:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("REMORA_AGENT", "unix:/run/remora/agent.sock"),
        ("REMORA_POD_NAMESPACE", "default"),
        ("REMORA_POD_NAME", "cache"),
        ("REMORA_POD_UID", "7a"),
        ("REMORA_POD_IPS", "10.0.0.1"),
    ];

    fn with(more: &[(&str, &str)]) -> Result<Config, String> {
        let variables = GOOD.iter().chain(more);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        configured(&variables.collect(), Network::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_has_the_variables_of_a_sidecar_and_no_others() {
        let config = with(&[("REMORA_MAX_CONNECTIONS", "7")]).unwrap();
        assert_eq!((config.pod.name.as_str(), config.limits.connections), ("cache", 7));
        assert_eq!(config.drain_delay, Duration::ZERO, "a node's proxy waits for no app");
        let error = with(&[("REMORA_MAX_CONECTIONS", "7")]).unwrap_err();
        assert_eq!(error, "there are no variables [\"REMORA_MAX_CONECTIONS\"]; leave them out");
        let error = with(&[("REMORA_MAX_CONNECTIONS", "many")]).unwrap_err();
        assert!(error.contains("REMORA_MAX_CONNECTIONS"), "{error}");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_by_its_place() {
        for (text, says) in [
            ("", "EOF while parsing"),
            (r#"{"network": "/proc/self/ns/net"}"#, "missing field `variables`"),
            (r#"{"variables": {}}"#, "missing field `network`"),
            (r#"{"network": "/n", "variables": {}, "limits": {}}"#, "unknown field `limits`"),
            (r#"{"network": "/nowhere", "variables": {}}"#, "its network /nowhere: No such file"),
            (r#"{"network": "/n", "inode": -1, "variables": {}}"#, "invalid value"),
            (
                r#"{"network": "/proc/self/ns/net", "variables": {}}"#,
                "/proc/self/ns/net: it is the node's own network",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
