//! A pod's volumes on the host.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::start::Host;
use crate::manifest::{HostPathKind, Mount, PodSpec, Volume};
use crate::shim::BindMount;
use crate::{Error, Result};

/// Makes the pod's own directories and waits for what must be there already,
/// as a kubelet retries a mount.
pub(super) fn prepare(pod: &PodSpec, host: &Host<'_>, limit: Duration) -> Result<()> {
    for (name, volume) in &pod.volumes {
        match volume {
            Volume::EmptyDir => {
                let path = host.scratch.make_dir(own_dir(pod, name))?;
                // Any of the pod's users may write there, as a kubelet has it.
                fs::set_permissions(&path, Permissions::from_mode(0o777))
                    .map_err(Error::io(format!("set the mode of {}", path.display())))?;
            }
            Volume::HostPath { path, kind } => await_path(name, path, *kind, limit)?,
            Volume::ConfigMap { name: of, optional: true } => {
                host.scratch.make_dir(config_map(pod, of))?;
            }
            Volume::ConfigMap { name: of, optional: false } => {
                let path = host.scratch.path().join(config_map(pod, of));
                await_path(name, &path, HostPathKind::Directory, limit)?;
            }
            Volume::Token { audience, file } => {
                let path = host.scratch.make_dir(own_dir(pod, name))?.join(file);
                fs::write(&path, token(pod, audience))
                    .map_err(Error::io(format!("write {}", path.display())))?;
            }
        }
    }
    Ok(())
}

/// What a pod's token says about it.
fn token(pod: &PodSpec, audience: &str) -> String {
    let PodSpec { namespace, name, uid, service_account, .. } = pod;
    let claims = json!({
        "aud": [audience],
        "sub": format!("system:serviceaccount:{namespace}:{service_account}"),
        "kubernetes.io": {
            "namespace": namespace,
            "pod": { "name": name, "uid": uid },
            "serviceaccount": { "name": service_account },
        },
    });
    claims.to_string()
}

fn config_map(pod: &PodSpec, name: &str) -> PathBuf {
    Path::new("configmaps").join(&pod.namespace).join(name)
}

fn own_dir(pod: &PodSpec, volume: &str) -> PathBuf {
    Path::new("volumes").join(&pod.uid).join(volume)
}

/// Removes the pod's own directories.
pub(crate) fn remove_volumes(scratch: &Path, uid: &str) {
    // The node's work directory goes as a whole in the end.
    let _ = fs::remove_dir_all(scratch.join("volumes").join(uid));
}

fn await_path(volume: &str, path: &Path, kind: HostPathKind, limit: Duration) -> Result<()> {
    look_for(path, kind, limit)
        .map_err(|problem| Error::field(format!("spec.volumes ({volume})"), problem))
}

fn look_for(path: &Path, kind: HostPathKind, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let there =
        |fits: fn(&fs::Metadata) -> bool| fs::metadata(path).is_ok_and(|found| fits(&found));
    loop {
        let found = match kind {
            HostPathKind::Unchecked => there(|_| true),
            HostPathKind::Directory => there(fs::Metadata::is_dir),
            HostPathKind::DirectoryOrCreate => {
                return fs::create_dir_all(path).map_err(|error| error.to_string());
            }
            HostPathKind::File => there(fs::Metadata::is_file),
            HostPathKind::Socket => there(|found| found.file_type().is_socket()),
        };
        if found {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{} is not there ({kind:?}) after {limit:?}", path.display()));
        }
        sleep(Duration::from_millis(5));
    }
}

/// Where a container's volume lies on the host.
pub(super) fn bind_mount(pod: &PodSpec, host: &Host<'_>, mount: &Mount) -> Result<BindMount> {
    let source = match pod.volumes.get(&mount.volume) {
        Some(Volume::EmptyDir | Volume::Token { .. }) => {
            host.scratch.path().join(own_dir(pod, &mount.volume))
        }
        Some(Volume::ConfigMap { name, .. }) => host.scratch.path().join(config_map(pod, name)),
        Some(Volume::HostPath { path, .. }) => path.clone(),
        None => return Err(Error::field(&mount.path, "names no volume")),
    };
    Ok(BindMount { source, target: mount.at.clone(), read_only: mount.read_only })
}
