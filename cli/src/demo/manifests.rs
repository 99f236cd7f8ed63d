//! The manifests of the demo, as anybody would write them.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::Value;

/// The policy for memcached: the text of a well-known example, spelling included.
pub(super) const MEMCACHED_POLICY: &str =
    include_str!("manifests/secure-rebel-alliance-memcache.yaml");
/// The policy for the droid.
pub(super) const DROID_POLICY: &str = include_str!("manifests/droid-orders.yaml");

/// The policy for Cassandra: the text of another one, and its headquarters.
pub(super) const CASSANDRA_POLICY: &str = include_str!("manifests/secure-empire-cassandra.yaml");

/// The file of the memcached policy in the agent's directory.
pub(super) const MEMCACHED_POLICY_FILE: &str = "secure-rebel-alliance-memcache.yaml";
/// The file of the droid's policy in the agent's directory.
pub(super) const DROID_POLICY_FILE: &str = "droid-orders.yaml";

/// The file of Cassandra's policy in the agent's directory.
pub(super) const CASSANDRA_POLICY_FILE: &str = "secure-empire-cassandra.yaml";

/// Cassandra, which gets a sidecar, and its clients, which don't.
pub(super) fn cassandra() -> Result<(Vec<Value>, Vec<Value>)> {
    let server = read("cassandra.yaml", include_str!("manifests/cassandra.yaml"))?;
    let clients = include_str!("manifests/cassandra-clients.yaml");
    Ok((server, read("cassandra-clients.yaml", clients)?))
}

/// The pods that get a sidecar.
pub(super) fn servers() -> Result<Vec<Value>> {
    let mut servers = read("memcached.yaml", include_str!("manifests/memcached.yaml"))?;
    servers.extend(read("droid.yaml", include_str!("manifests/droid.yaml"))?);
    Ok(servers)
}

/// The pods that don't.
pub(super) fn clients() -> Result<Vec<Value>> {
    read("clients.yaml", include_str!("manifests/clients.yaml"))
}

/// The memcached policy after somebody moved monitoring to another prefix.
pub(super) fn memcached_policy_edited() -> Result<String> {
    let (before, monitoring) = MEMCACHED_POLICY
        .split_once("function: fleet-monitoring")
        .ok_or_else(|| anyhow!("the memcached policy no longer names fleet-monitoring"))?;
    let edited =
        monitoring.replacen("keyPrefix: \"alliance/fleet/\"", "keyPrefix: \"alliance/medbay/\"", 1);
    Ok(format!("{before}function: fleet-monitoring{edited}"))
}

/// The memcached policy in audit mode.
pub(super) fn memcached_policy_audited() -> String {
    let metadata = "metadata:\n  annotations: {policy.remora.dev/mode: audit}\n";
    MEMCACHED_POLICY.replacen("metadata:\n", metadata, 1)
}

fn read(name: &str, text: &str) -> Result<Vec<Value>> {
    let documents = remora_manifest::read(text, Path::new(name)).into_iter();
    documents.map(|document| Ok(document?.to_json())).collect()
}
