//! Annotations that do nothing for a pod that its node's proxy serves: they are about a process
//! that the pod does not have. They are no reason to refuse it: its mode is the installation's
//! choice, and may change.

use remora_manifest::Field;

use crate::numbers::{DRAIN_DELAY, THREADS};
use crate::settings::{LOG_LEVEL, RESOURCES};
use crate::{InjectError, ProxyMode};

/// What to tell of them, if the pod's proxy is not its own.
pub(super) fn warnings(metadata: &Field<'_>, mode: ProxyMode) -> Result<Vec<String>, InjectError> {
    let Some(annotations) = metadata.get_given("annotations")? else { return Ok(Vec::new()) };
    if mode == ProxyMode::Sidecar {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    for name in RESOURCES.into_iter().chain([LOG_LEVEL, DRAIN_DELAY, THREADS]) {
        if annotations.get(name)?.is_some() {
            warnings
                .push(format!("{name} does nothing here: the proxy of the node serves this pod"));
        }
    }
    Ok(warnings)
}
