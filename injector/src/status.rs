//! The status annotation: what we added to a pod, and what was there before.

use remora_manifest::{Field, FieldPath};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AGENT_VOLUME, INIT_CONTAINER, InjectError, SIDECAR_CONTAINER, STATUS_ANNOTATION};

/// The annotation's content. A field that we do not know means another version of Remora,
/// whose work we could not take back in full, so it is refused.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Status {
    /// The version that injected.
    pub(crate) version: String,
    /// The containers that were added. For people: what is taken out goes by our fixed
    /// names, so that a forged list cannot remove anything else.
    pub(crate) containers: Vec<String>,
    /// The volumes that were added; for people, too.
    pub(crate) volumes: Vec<String>,
    /// How the collections that we added to were written before.
    pub(crate) before: Before,
}

/// How each collection that we add to was written before.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Before {
    pub(crate) init_containers: Collection,
    pub(crate) volumes: Collection,
    pub(crate) annotations: Collection,
}

/// How a list or map was written. The API server takes all three for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Collection {
    Absent,
    Null,
    Present,
}

impl Collection {
    /// How `parent`'s entry `name` is written.
    pub(crate) fn of(parent: Option<&Value>, name: &str) -> Self {
        match parent.and_then(|parent| parent.get(name)) {
            None => Self::Absent,
            Some(Value::Null) => Self::Null,
            Some(_) => Self::Present,
        }
    }
}

impl Status {
    pub(crate) fn of(pod: &Value) -> Self {
        let (metadata, spec) = (pod.get("metadata"), pod.get("spec"));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            containers: vec![INIT_CONTAINER.to_owned(), SIDECAR_CONTAINER.to_owned()],
            volumes: vec![AGENT_VOLUME.to_owned()],
            before: Before {
                init_containers: Collection::of(spec, "initContainers"),
                volumes: Collection::of(spec, "volumes"),
                annotations: Collection::of(metadata, "annotations"),
            },
        }
    }

    /// The pod's own status; none if it was never injected.
    pub(crate) fn read(pod: &Field<'_>) -> Result<Option<Self>, InjectError> {
        let Some(metadata) = pod.get_given("metadata")? else { return Ok(None) };
        let Some(annotations) = metadata.get_given("annotations")? else { return Ok(None) };
        let Some(annotation) = annotations.get(STATUS_ANNOTATION)? else { return Ok(None) };
        let text = annotation.string()?;
        let status = serde_json::from_str(text).map_err(|error| {
            let problem = format!("is no status that this version of Remora wrote ({error})");
            let remedy = "uninject with the version that injected, or remove the annotation \
                          and every container and volume of Remora's";
            InjectError::new(annotation.path.clone(), problem, remedy)
        })?;
        Ok(Some(status))
    }

    /// Where the annotation stands.
    pub(crate) fn path() -> FieldPath {
        FieldPath::root().key("metadata").key("annotations").key(STATUS_ANNOTATION)
    }
}
