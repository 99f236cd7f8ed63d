//! Whom a container runs as, and what the kernel lets it do.

use std::collections::BTreeSet;
use std::str::FromStr;

use caps::{CapSet, Capability};
use serde_json::json;

use super::fields::Fields;
use crate::Result;

/// What a container runtime grants when the manifest says nothing.
const DEFAULT: [Capability; 14] = [
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

/// The pod's `securityContext`, which its containers inherit.
#[derive(Debug, Default)]
pub(super) struct PodSecurity {
    user: Option<u32>,
    group: Option<u32>,
    non_root: Option<bool>,
}

/// A container's `securityContext`.
#[derive(Debug)]
pub(crate) struct Security {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Names of the capabilities in the bounding set, `CAP_` included.
    pub(crate) capabilities: BTreeSet<String>,
    pub(crate) no_new_privileges: bool,
    pub(crate) read_only_root: bool,
}

impl PodSecurity {
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self> {
        let read = Self {
            user: fields.u32("runAsUser")?,
            group: fields.u32("runAsGroup")?,
            non_root: fields.bool("runAsNonRoot")?,
        };
        seccomp(&mut fields)?;
        fields.finish()?;
        Ok(read)
    }
}

impl Security {
    pub(super) fn read(mut fields: Fields<'_>, pod: &PodSecurity) -> Result<Self> {
        let uid = fields.u32("runAsUser")?.or(pod.user).unwrap_or(0);
        if fields.bool("runAsNonRoot")?.or(pod.non_root) == Some(true) && uid == 0 {
            return Err(
                fields.error("runAsNonRoot", "the container would run as root; set runAsUser")
            );
        }
        fields.only("privileged", &json!(false))?;
        fields.only("procMount", &json!("Default"))?;
        seccomp(&mut fields)?;
        let read = Self {
            uid,
            gid: fields.u32("runAsGroup")?.or(pod.group).unwrap_or(0),
            no_new_privileges: fields.bool("allowPrivilegeEscalation")? == Some(false),
            read_only_root: fields.bool("readOnlyRootFilesystem")?.unwrap_or(false),
            capabilities: capabilities(fields.child("capabilities")?)?,
        };
        fields.finish()?;
        Ok(read)
    }
}

/// There is no container runtime here, so its default profile is none.
fn seccomp(fields: &mut Fields<'_>) -> Result<()> {
    let mut profile = fields.child("seccompProfile")?;
    profile.only("type", &json!("RuntimeDefault"))?;
    profile.finish()
}

/// Drops first, then adds, as a container runtime does.
fn capabilities(mut fields: Fields<'_>) -> Result<BTreeSet<String>> {
    let mut granted: BTreeSet<String> = DEFAULT.iter().map(Capability::to_string).collect();
    for named in names(&mut fields, "drop")? {
        match named {
            None => granted.clear(),
            Some(one) => drop(granted.remove(&one)),
        }
    }
    for named in names(&mut fields, "add")? {
        match named {
            // All that this machine has to give.
            None => granted.extend(
                caps::read(None, CapSet::Bounding).into_iter().flatten().map(|cap| cap.to_string()),
            ),
            Some(one) => drop(granted.insert(one)),
        }
    }
    fields.finish()?;
    Ok(granted)
}

/// The names of a list, `CAP_` put before each; `None` stands for `ALL`.
fn names(fields: &mut Fields<'_>, key: &'static str) -> Result<Vec<Option<String>>> {
    let names = fields.strings(key)?.unwrap_or_default().into_iter();
    let canonical = names.map(|name| {
        if name == "ALL" {
            return Ok(None);
        }
        let full = caps::to_canonical(&name);
        match Capability::from_str(&full) {
            Ok(_) => Ok(Some(full)),
            Err(_) => Err(fields.error(key, format!("no capability {name:?}"))),
        }
    });
    canonical.collect()
}
