//! Injection and its inverse.

use remora_manifest::{Field, FieldPath, Node};
use serde_json::{Map, Value};

use crate::check;
use crate::probes::{self, Calls};
use crate::render::{init_container, proxy_container, volumes};
use crate::settings::Settings;
use crate::status::{Before, Collection, Status};
use crate::workload::Workload;
use crate::{
    DEFAULT_CONTAINER_ANNOTATION, INIT_CONTAINER, InjectConfig, InjectError, OWN_VOLUMES,
    SIDECAR_CONTAINER, STATUS_ANNOTATION,
};

/// The Pod, or the workload's template, with Remora in it. A Pod without a namespace is
/// taken to be in `default`, which matters only where its agent socket is named after it.
///
/// # Errors
/// It is of no kind that we know, it could not run with Remora, it carries something under
/// our names that we did not add, or an annotation of ours that is wrong.
pub fn inject(manifest: &Value, config: &InjectConfig) -> Result<Value, InjectError> {
    let mut manifest = uninject(manifest)?;
    let tree = Node::from_json(&manifest);
    let root = Field::root(&tree);
    let workload = Workload::of(&root)?;
    let template = workload.template(&root)?;
    check::injectable(&template, workload)?;
    let settings = Settings::read(&root, workload, &template, &config.limits)?;
    let calls = Calls::read(&template)?;
    let volumes = volumes(config, &template, workload)?;
    let default_container = default_container(&template)?;
    let status = Status {
        default_container: default_container.clone(),
        probes: calls.originals.clone(),
        ..Status::new(Before::of(&template.node.to_json()), &volumes)
    };
    let status = status.text(&template.path)?;

    let pod = workload.template_mut(&mut manifest)?;
    let annotations = object_in(object_in(pod, "metadata")?, "annotations")?;
    if let Some(name) = default_container {
        annotations.insert(DEFAULT_CONTAINER_ANNOTATION.to_owned(), name.into());
    }
    annotations.insert(STATUS_ANNOTATION.to_owned(), status.into());
    let spec = object_in(pod, "spec")?;
    calls.rewrite(spec);
    list_in(spec, "initContainers")?.splice(
        0..0,
        [init_container(config, &settings), proxy_container(config, &settings, &calls)],
    );
    if !volumes.is_empty() {
        list_in(spec, "volumes")?.extend(volumes);
    }
    Ok(manifest)
}

/// The manifest as it was before [`inject`]; what was added since by others stays. One that
/// was not injected is given back as it is.
///
/// # Errors
/// It is of no kind that we know, or its status annotation is none that we understand.
pub fn uninject(manifest: &Value) -> Result<Value, InjectError> {
    let tree = Node::from_json(manifest);
    let root = Field::root(&tree);
    let workload = Workload::of(&root)?;
    let template = workload.template(&root)?;
    let mut manifest = manifest.clone();
    let Some(status) = Status::read(&template)? else { return Ok(manifest) };
    check::shape(&template)?;

    let before = status.before;
    let pod = workload.template_mut(&mut manifest)?;
    let spec = object_in(pod, "spec")?;
    let containers = [INIT_CONTAINER, SIDECAR_CONTAINER];
    remove_named(spec, "initContainers", &containers, before.init_containers)?;
    remove_named(spec, "volumes", &OWN_VOLUMES, before.volumes)?;
    probes::restore(spec, &status.probes);
    let metadata = object_in(pod, "metadata")?;
    let annotations = object_in(metadata, "annotations")?;
    annotations.shift_remove(STATUS_ANNOTATION);
    let named = annotations.get(DEFAULT_CONTAINER_ANNOTATION).and_then(Value::as_str);
    if named.is_some() && named == status.default_container.as_deref() {
        annotations.shift_remove(DEFAULT_CONTAINER_ANNOTATION);
    }
    let is_empty = annotations.is_empty();
    restore(metadata, "annotations", is_empty, before.annotations);
    let is_empty = metadata.is_empty();
    restore(pod, "metadata", is_empty, before.metadata);
    Ok(manifest)
}

/// The name of the first container, unless somebody has named a default already.
fn default_container(template: &Field<'_>) -> Result<Option<String>, InjectError> {
    if let Some(metadata) = template.get_given("metadata")?
        && let Some(annotations) = metadata.get_given("annotations")?
        && annotations.get(DEFAULT_CONTAINER_ANNOTATION)?.is_some()
    {
        return Ok(None);
    }
    let containers = check::items(&template.require("spec")?, "containers")?;
    match containers.first() {
        Some(first) => Ok(Some(first.require("name")?.string()?.to_owned())),
        None => Ok(None),
    }
}

/// Takes the first entry of each name out of the list. A second one is not ours, and stays.
fn remove_named(
    parent: &mut Map<String, Value>,
    name: &str,
    entries: &[&str],
    before: Collection,
) -> Result<(), InjectError> {
    let items = list_in(parent, name)?;
    for entry in entries {
        let is_it = |item: &Value| item.get("name").and_then(Value::as_str) == Some(entry);
        if let Some(position) = items.iter().position(is_it) {
            items.remove(position);
        }
    }
    let is_empty = items.is_empty();
    restore(parent, name, is_empty, before);
    Ok(())
}

/// Writes an emptied collection as it was written before.
fn restore(parent: &mut Map<String, Value>, name: &str, is_empty: bool, before: Collection) {
    match before {
        Collection::Absent if is_empty => drop(parent.shift_remove(name)),
        Collection::Null if is_empty => drop(parent.insert(name.to_owned(), Value::Null)),
        _ => {}
    }
}

/// The parent's map `name`, made if it is absent or null.
pub(crate) fn object_in<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Map<String, Value>, InjectError> {
    let value = given(parent, name, || Value::Object(Map::new()));
    value.as_object_mut().ok_or_else(|| malformed(name, "a map"))
}

fn list_in<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Vec<Value>, InjectError> {
    let value = given(parent, name, || Value::Array(Vec::new()));
    value.as_array_mut().ok_or_else(|| malformed(name, "a list"))
}

fn given<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
    empty: impl FnOnce() -> Value,
) -> &'a mut Value {
    let value = parent.entry(name.to_owned()).or_insert(Value::Null);
    if value.is_null() {
        *value = empty();
    }
    value
}

fn malformed(name: &str, kind: &str) -> InjectError {
    let field = FieldPath::root().key(name);
    InjectError::new(field, format!("is not {kind}"), format!("write {kind}"))
}
