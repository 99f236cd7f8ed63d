//! Environment variables, the downward API, and `$(NAME)` in commands.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::fields::Fields;
use super::pod::PodSpec;
use crate::net::Addresses;
use crate::{Error, Result};

/// One entry of `env`.
#[derive(Debug)]
pub(crate) struct EnvVar {
    /// Path of the entry in the manifest, for errors.
    path: String,
    name: String,
    value: Source,
}

#[derive(Debug)]
enum Source {
    Literal(String),
    FieldRef(String),
}

/// What the downward API can tell a container about its pod.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) pod: &'a PodSpec,
    pub(crate) addresses: Addresses,
}

/// Reads a container's `env`.
pub(super) fn read(container: &mut Fields<'_>) -> Result<Vec<EnvVar>> {
    let items = container.list("env")?.into_iter();
    items.map(|(item, path)| EnvVar::read(item, path)).collect()
}

impl EnvVar {
    fn read(item: &Value, path: String) -> Result<Self> {
        let mut entry = Fields::of(item, path.clone())?;
        let name = entry.required_str("name")?.to_owned();
        let literal = entry.str("value")?;
        let mut from = entry.child("valueFrom")?;
        let mut field_ref = from.child("fieldRef")?;
        let referenced = field_ref.str("fieldPath")?;
        field_ref.accept(&["apiVersion"]);
        field_ref.finish()?;
        from.finish()?;
        entry.finish()?;
        let value = match referenced {
            Some(field) => Source::FieldRef(field.to_owned()),
            None => Source::Literal(literal.unwrap_or_default().to_owned()),
        };
        Ok(Self { path, name, value })
    }
}

impl Facts<'_> {
    /// The variables of a container, references to earlier ones resolved.
    pub(crate) fn env(&self, vars: &[EnvVar]) -> Result<Vec<(String, String)>> {
        let mut env: Vec<(String, String)> = vec![
            ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("HOSTNAME".into(), self.pod.name.clone()),
        ];
        for var in vars {
            let value = match &var.value {
                Source::Literal(text) => expand(text, &env),
                Source::FieldRef(field) => self.field(field).ok_or_else(|| {
                    Error::field(
                        format!("{}.valueFrom.fieldRef.fieldPath", var.path),
                        format!("no field {field:?} here"),
                    )
                })?,
            };
            env.retain(|(name, _)| *name != var.name);
            env.push((var.name.clone(), value));
        }
        Ok(env)
    }

    fn field(&self, field: &str) -> Option<String> {
        let ips = self.addresses.all();
        let value = match field {
            "metadata.name" => self.pod.name.clone(),
            "metadata.namespace" => self.pod.namespace.clone(),
            "metadata.uid" => self.pod.uid.clone(),
            "spec.nodeName" => "node".to_owned(),
            "spec.serviceAccountName" => self.pod.service_account.clone(),
            "status.podIP" => self.addresses.v4.to_string(),
            "status.podIPs" => comma_separated(&ips),
            "status.hostIP" => Addresses::NODE.v4.to_string(),
            "status.hostIPs" => comma_separated(&Addresses::NODE.all()),
            _ => {
                return keyed(field, "metadata.labels", &self.pod.labels)
                    .or_else(|| keyed(field, "metadata.annotations", &self.pod.annotations));
            }
        };
        Some(value)
    }
}

fn comma_separated(ips: &[IpAddr]) -> String {
    ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// `metadata.labels['app']`; a key that the pod lacks is the empty string.
fn keyed(field: &str, of: &str, map: &BTreeMap<String, String>) -> Option<String> {
    let key = field.strip_prefix(of)?.strip_prefix("['")?.strip_suffix("']")?;
    Some(map.get(key).cloned().unwrap_or_default())
}

/// `$(NAME)` becomes the variable's value if there is one and stays as it is
/// otherwise; `$$` is a dollar sign.
pub(crate) fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = reference {
            match env.iter().find(|(known, _)| known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&rest[..name.len() + 3]),
            }
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out + rest
}
