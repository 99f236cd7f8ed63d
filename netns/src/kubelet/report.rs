//! The pod's manifest as an API server and a kubelet complete it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::net::Addresses;
use crate::{Error, Result};

/// Fills in what a pod has once it is bound to a node: namespace, uid,
/// addresses. A field that the manifest sets stays, `status` excepted.
pub(crate) fn complete(manifest: &Value, addresses: Addresses) -> Result<Value> {
    let mut manifest = manifest.clone();
    let Some(pod) = manifest.as_object_mut() else {
        return Err(Error::field("", "a Pod must be a map"));
    };
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(Error::field("metadata", "must be a map"));
    };
    set_default(metadata, "namespace", || Ok("default".into()))?;
    set_default(metadata, "uid", || {
        let source = "/proc/sys/kernel/random/uuid";
        fs::read_to_string(source)
            .map(|uuid| uuid.trim().to_owned())
            .map_err(Error::io(format!("read {source}")))
    })?;
    let ips: Vec<Value> =
        addresses.all().iter().map(|ip| json!({ "ip": ip.to_string() })).collect();
    let status = json!({
        "phase": "Pending",
        "hostIP": Addresses::NODE.v4.to_string(),
        "podIP": addresses.v4.to_string(),
        "podIPs": ips,
    });
    pod.insert("status".into(), status);
    Ok(manifest)
}

fn set_default(
    map: &mut Map<String, Value>,
    key: &str,
    value: impl FnOnce() -> Result<String>,
) -> Result<()> {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.into(), value()?.into());
    }
    Ok(())
}

/// Writes the completed manifest into `directory` as `NAMESPACE_NAME.json`,
/// by rename, so that no reader sees half of it. For [`Node::run_pod`].
///
/// [`Node::run_pod`]: crate::Node::run_pod
pub fn report_to(directory: &Path) -> impl FnOnce(&Value) -> io::Result<()> {
    let directory = directory.to_owned();
    move |manifest| {
        let name = |key| manifest["metadata"][key].as_str().unwrap_or_default();
        let mut file = tempfile::Builder::new().prefix(".pod-").tempfile_in(&directory)?;
        file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
        let target = directory.join(format!("{}_{}.json", name("namespace"), name("name")));
        file.persist(target).map(drop).map_err(|error| error.error)
    }
}
