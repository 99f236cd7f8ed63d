//! A Pod manifest, read strictly: whatever the harness cannot honour is an
//! error that names its field.

mod container;
mod env;
mod fields;
mod pod;
mod probe;
mod security;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use container::{ContainerSpec, Mount, RestartPolicy};
pub(crate) use env::{Facts, expand};
pub(crate) use pod::PodSpec;
pub(crate) use probe::{Check, Hooks, HttpGet, Probe, Probes};
pub(crate) use security::Security;
pub(crate) use volume::{HostPathKind, Volume};
