//! Injection and its inverse.

use remora_manifest::{Field, FieldPath, Node};
use serde_json::{Map, Value};

use crate::check;
use crate::render::{agent_volume, init_container, sidecar_container};
use crate::status::{Collection, Status};
use crate::{
    AGENT_VOLUME, INIT_CONTAINER, InjectConfig, InjectError, SIDECAR_CONTAINER, STATUS_ANNOTATION,
};

/// The Pod with Remora in it. A Pod without a namespace is taken to be in `default`.
///
/// # Errors
/// It is no Pod, it could not run with Remora, or it carries something under our names
/// that we did not add.
pub fn inject(pod: &Value, config: &InjectConfig) -> Result<Value, InjectError> {
    let mut pod = uninject(pod)?;
    let identity = check::injectable(&Field::root(&Node::from_json(&pod)))?;
    let status = serde_json::to_string(&Status::of(&pod)).map_err(|error| {
        InjectError::new(Status::path(), error.to_string(), "report this as a bug of Remora's")
    })?;

    let spec = object(&mut pod, "spec")?;
    let init_containers = list(spec, "initContainers")?;
    init_containers.insert(0, init_container(config));
    init_containers.insert(1, sidecar_container(config));
    let volume = agent_volume(config, &identity.namespace, &identity.name);
    list(spec, "volumes")?.push(volume);
    let annotations = object_in(object(&mut pod, "metadata")?, "annotations")?;
    annotations.insert(STATUS_ANNOTATION.to_owned(), status.into());
    Ok(pod)
}

/// The Pod as it was before [`inject`]; what was added since by others stays. A Pod that
/// was not injected is given back as it is.
///
/// # Errors
/// It is no Pod, or its status annotation is none that we understand.
pub fn uninject(pod: &Value) -> Result<Value, InjectError> {
    let tree = Node::from_json(pod);
    let root = Field::root(&tree);
    check::kind(&root)?;
    let mut pod = pod.clone();
    let Some(status) = Status::read(&root)? else { return Ok(pod) };
    check::shape(&root)?;

    let before = status.before;
    let spec = object(&mut pod, "spec")?;
    let containers = [INIT_CONTAINER, SIDECAR_CONTAINER];
    remove_named(spec, "initContainers", &containers, before.init_containers)?;
    remove_named(spec, "volumes", &[AGENT_VOLUME], before.volumes)?;
    let metadata = object(&mut pod, "metadata")?;
    let annotations = object_in(metadata, "annotations")?;
    annotations.shift_remove(STATUS_ANNOTATION);
    let is_empty = annotations.is_empty();
    restore(metadata, "annotations", is_empty, before.annotations);
    Ok(pod)
}

/// Takes the first entry of each name out of the list. A second one is not ours, and stays.
fn remove_named(
    parent: &mut Map<String, Value>,
    name: &str,
    entries: &[&str],
    before: Collection,
) -> Result<(), InjectError> {
    let items = list(parent, name)?;
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

/// The document's map `name`, made if it is absent or null.
fn object<'a>(
    document: &'a mut Value,
    name: &str,
) -> Result<&'a mut Map<String, Value>, InjectError> {
    let root = document.as_object_mut().ok_or_else(|| malformed(FieldPath::root(), "a map"))?;
    object_in(root, name)
}

fn object_in<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Map<String, Value>, InjectError> {
    let value = given(parent, name, || Value::Object(Map::new()));
    value.as_object_mut().ok_or_else(|| malformed(FieldPath::root().key(name), "a map"))
}

fn list<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Vec<Value>, InjectError> {
    let value = given(parent, name, || Value::Array(Vec::new()));
    value.as_array_mut().ok_or_else(|| malformed(FieldPath::root().key(name), "a list"))
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

fn malformed(field: FieldPath, kind: &str) -> InjectError {
    InjectError::new(field, format!("is not {kind}"), format!("write {kind}"))
}
