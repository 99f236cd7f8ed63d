//! A pod's volumes, and where their files come from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::fields::Fields;
use crate::{Error, Result};

/// Where a volume's files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Volume {
    /// A directory of the pod's own, gone with it.
    EmptyDir,
    /// A file or directory of the node.
    HostPath { path: PathBuf, kind: HostPathKind },
    /// The keys of a ConfigMap as files: those that the owner of the node put into
    /// `configmaps/NAMESPACE/NAME` of its work directory.
    ConfigMap { name: String, optional: bool },
    /// A file with a token that says whose it is. Nobody signs here: whoever reviews it
    /// takes its word.
    Token { audience: String, file: String },
}

/// What must be at a host path before the pod may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostPathKind {
    Unchecked,
    Directory,
    DirectoryOrCreate,
    File,
    Socket,
}

/// What the API server fills in for the files' mode.
const DEFAULT_MODE: u32 = 0o644;

pub(super) fn volumes(spec: &mut Fields<'_>) -> Result<BTreeMap<String, Volume>> {
    let mut volumes = BTreeMap::new();
    for (item, path) in spec.list("volumes")? {
        let mut fields = Fields::of(item, path)?;
        let name = fields.required_str("name")?.to_owned();
        let known = ["emptyDir", "hostPath", "configMap", "projected"];
        let mut given = known.into_iter().filter(|&source| fields.value(source).is_some());
        let (source, second) = (given.next(), given.next());
        if let Some(second) = second {
            return Err(fields.error(second, "a volume has one source"));
        }
        let volume = match source {
            Some("emptyDir") => {
                fields.child("emptyDir")?.finish()?;
                Volume::EmptyDir
            }
            Some("hostPath") => host_path(fields.child("hostPath")?)?,
            Some("configMap") => config_map(fields.child("configMap")?)?,
            Some(_) => projected(fields.child("projected")?)?,
            None => {
                let problem = format!("the harness knows {} volumes only", known.join(", "));
                fields.finish()?;
                return Err(Error::field(format!("spec.volumes ({name})"), problem));
            }
        };
        if volumes.insert(name, volume).is_some() {
            return Err(fields.error("name", "another volume has this name"));
        }
        fields.finish()?;
    }
    Ok(volumes)
}

fn host_path(mut fields: Fields<'_>) -> Result<Volume> {
    let path = PathBuf::from(fields.required_str("path")?);
    if !path.is_absolute() {
        return Err(fields.error("path", "must be absolute"));
    }
    let kind = match fields.str("type")? {
        None | Some("") => HostPathKind::Unchecked,
        Some("Directory") => HostPathKind::Directory,
        Some("DirectoryOrCreate") => HostPathKind::DirectoryOrCreate,
        Some("File") => HostPathKind::File,
        Some("Socket") => HostPathKind::Socket,
        Some(_) => {
            return Err(
                fields.error("type", "must be Directory, DirectoryOrCreate, File, Socket or empty")
            );
        }
    };
    fields.finish()?;
    Ok(Volume::HostPath { path, kind })
}

fn config_map(mut fields: Fields<'_>) -> Result<Volume> {
    let name = file_name(&mut fields, "name")?;
    let optional = fields.bool("optional")?.unwrap_or(false);
    fields.only("defaultMode", &json!(DEFAULT_MODE))?;
    fields.finish()?;
    Ok(Volume::ConfigMap { name, optional })
}

/// One token, and nothing else.
fn projected(mut fields: Fields<'_>) -> Result<Volume> {
    fields.only("defaultMode", &json!(DEFAULT_MODE))?;
    let sources = fields.list("sources")?;
    let [(source, path)] = sources.as_slice() else {
        return Err(fields.error("sources", "the harness knows a single serviceAccountToken only"));
    };
    let mut source = Fields::of(source, path)?;
    let mut token = source.child("serviceAccountToken")?;
    let audience = token.required_str("audience")?.to_owned();
    let file = file_name(&mut token, "path")?;
    // A pod here does not live long enough for a renewal.
    token.accept(&["expirationSeconds"]);
    token.finish()?;
    source.finish()?;
    fields.finish()?;
    Ok(Volume::Token { audience, file })
}

/// A name that leads into no other directory.
fn file_name(fields: &mut Fields<'_>, key: &'static str) -> Result<String> {
    let name = fields.required_str(key)?;
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(fields.error(key, "must be a plain file name"));
    }
    Ok(name.to_owned())
}
