//! One container, as its manifest describes it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::env::{self, EnvVar};
use super::fields::Fields;
use super::probe::{Hooks, Probes};
use super::security::{PodSecurity, Security};
use super::volume::Volume;
use crate::{Error, Result};

/// What the harness does for one container.
#[derive(Debug)]
pub(crate) struct ContainerSpec {
    /// Path of the container in the manifest, for errors.
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) working_dir: Option<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) security: Security,
    pub(crate) probes: Probes,
    pub(crate) hooks: Hooks,
    pub(crate) restart: RestartPolicy,
}

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    pub(crate) fn restarts_after(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// A volume's place in a container.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    /// Path of this mount in the manifest, for errors.
    pub(crate) path: String,
    pub(crate) volume: String,
    pub(crate) at: String,
    pub(crate) read_only: bool,
}

impl ContainerSpec {
    pub(super) fn read(
        value: &Value,
        path: &str,
        restart: RestartPolicy,
        pod: &PodSecurity,
        volumes: &BTreeMap<String, Volume>,
    ) -> Result<Self> {
        let mut fields = Fields::of(value, path)?;
        let ports = ports(&mut fields)?;
        let read = Self {
            path: path.to_owned(),
            name: fields.required_str("name")?.to_owned(),
            image: fields.required_str("image")?.to_owned(),
            command: fields.strings("command")?,
            args: fields.strings("args")?,
            working_dir: fields.str("workingDir")?.map(str::to_owned),
            env: env::read(&mut fields)?,
            mounts: mounts(&mut fields, volumes)?,
            security: Security::read(fields.child("securityContext")?, pod)?,
            probes: Probes::read(&mut fields, &ports)?,
            hooks: Hooks::read(&mut fields, &ports)?,
            restart: restart_policy(&mut fields, restart)?,
        };
        fields.accept(&[
            "imagePullPolicy",
            "resources",
            "terminationMessagePath",
            "terminationMessagePolicy",
        ]);
        for interactive in ["stdin", "stdinOnce", "tty"] {
            fields.only(interactive, &json!(false))?;
        }
        fields.finish()?;
        Ok(read)
    }
}

/// Only an init container may say its own policy, and only the one that makes
/// it a native sidecar.
fn restart_policy(fields: &mut Fields<'_>, inherited: RestartPolicy) -> Result<RestartPolicy> {
    match fields.str("restartPolicy")? {
        None => Ok(inherited),
        Some("Always") if fields.path("").contains("initContainers") => Ok(RestartPolicy::Always),
        Some(_) => {
            Err(fields
                .error("restartPolicy", "the harness honours only Always, on an init container"))
        }
    }
}

/// Named ports, for probes.
fn ports(fields: &mut Fields<'_>) -> Result<BTreeMap<String, u16>> {
    let mut named = BTreeMap::new();
    for (item, path) in fields.list("ports")? {
        let mut port = Fields::of(item, path)?;
        let number = port.u32("containerPort")?.and_then(|number| u16::try_from(number).ok());
        let number = number.ok_or_else(|| port.error("containerPort", "must be a port number"))?;
        if let Some(name) = port.str("name")? {
            named.insert(name.to_owned(), number);
        }
        port.accept(&["protocol"]);
        port.finish()?;
    }
    Ok(named)
}

fn mounts(fields: &mut Fields<'_>, volumes: &BTreeMap<String, Volume>) -> Result<Vec<Mount>> {
    let read = |(item, path): (&Value, String)| {
        let mut mount = Fields::of(item, path.clone())?;
        let volume = mount.required_str("name")?.to_owned();
        if !volumes.contains_key(&volume) {
            return Err(mount.error("name", format!("spec.volumes has no volume {volume:?}")));
        }
        let at = mount.required_str("mountPath")?.to_owned();
        if !at.starts_with('/') || at.split('/').any(|part| part == "..") {
            return Err(mount.error("mountPath", "must be absolute and without `..`"));
        }
        let read_only = mount.bool("readOnly")?.unwrap_or(false);
        mount.only("mountPropagation", &json!("None"))?;
        mount.finish()?;
        Ok(Mount { path, volume, at, read_only })
    };
    let mut mounts =
        fields.list("volumeMounts")?.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    // A mount inside another one must come after it.
    mounts.sort_by(|a, b| a.at.cmp(&b.at));
    match mounts.windows(2).find(|pair| pair[0].at == pair[1].at) {
        Some(pair) => Err(Error::field(&pair[1].path, format!("two volumes at {}", pair[1].at))),
        None => Ok(mounts),
    }
}
