//! The status annotation: what we added to a pod, and what was there before.

use remora_manifest::{Field, FieldPath};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{INIT_CONTAINER, InjectError, SIDECAR_CONTAINER, STATUS_ANNOTATION};

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
    /// The default container that we named, where nobody had named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default_container: Option<String>,
    /// What the rewriting of probes and hooks replaced, by the path on the health port.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) probes: Map<String, Value>,
    /// How the collections that we added to were written before.
    pub(crate) before: Before,
}

/// How each collection that we add to was written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Before {
    pub(crate) init_containers: Collection,
    pub(crate) volumes: Collection,
    pub(crate) annotations: Collection,
    /// A Pod always has it; a template may go without.
    #[serde(default, skip_serializing_if = "Collection::is_present")]
    pub(crate) metadata: Collection,
}

/// How a list or map was written. The API server takes all three for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Collection {
    Absent,
    Null,
    #[default]
    Present,
}

impl Collection {
    /// How `parent`'s entry `name` is written.
    fn of(parent: Option<&Value>, name: &str) -> Self {
        match parent.and_then(|parent| parent.get(name)) {
            None => Self::Absent,
            Some(Value::Null) => Self::Null,
            Some(_) => Self::Present,
        }
    }

    fn is_present(&self) -> bool {
        *self == Self::Present
    }
}

impl Before {
    /// How a template is written now.
    pub(crate) fn of(template: &Value) -> Self {
        let (metadata, spec) = (template.get("metadata"), template.get("spec"));
        Self {
            init_containers: Collection::of(spec, "initContainers"),
            volumes: Collection::of(spec, "volumes"),
            annotations: Collection::of(metadata, "annotations"),
            metadata: Collection::of(Some(template), "metadata"),
        }
    }
}

impl Status {
    /// The status of a template that gets these volumes, and is otherwise as it was.
    pub(crate) fn new(before: Before, volumes: &[Value]) -> Self {
        let name = |volume: &Value| volume.get("name")?.as_str().map(str::to_owned);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            containers: vec![INIT_CONTAINER.to_owned(), SIDECAR_CONTAINER.to_owned()],
            volumes: volumes.iter().filter_map(name).collect(),
            default_container: None,
            probes: Map::new(),
            before,
        }
    }

    /// The template's own status; none if it was never injected.
    pub(crate) fn read(template: &Field<'_>) -> Result<Option<Self>, InjectError> {
        let Some(metadata) = template.get_given("metadata")? else { return Ok(None) };
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

    /// The annotation's text.
    pub(crate) fn text(&self, template: &FieldPath) -> Result<String, InjectError> {
        serde_json::to_string(self).map_err(|error| {
            let field = template.key("metadata").key("annotations").key(STATUS_ANNOTATION);
            InjectError::new(field, error.to_string(), "report this as a bug of Remora's")
        })
    }
}
