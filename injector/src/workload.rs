//! Which kinds have pods that can be injected, and where in them the pod stands.

use remora_manifest::Field;
use serde_json::{Map, Value};

use crate::mutate::object_in;
use crate::{InjectError, ProxyMode, SIDECAR_CONTAINER};

/// A kind that is a Pod, or holds the template of its pods.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    kind: &'static str,
    api_version: &'static str,
    /// The way from the object to the map that has the pod's `metadata` and `spec`.
    template: &'static [&'static str],
}

const TEMPLATE: &[&str] = &["spec", "template"];

const WORKLOADS: [Workload; 8] = [
    Workload { kind: "Pod", api_version: "v1", template: &[] },
    Workload { kind: "Deployment", api_version: "apps/v1", template: TEMPLATE },
    Workload { kind: "StatefulSet", api_version: "apps/v1", template: TEMPLATE },
    Workload { kind: "DaemonSet", api_version: "apps/v1", template: TEMPLATE },
    Workload { kind: "ReplicaSet", api_version: "apps/v1", template: TEMPLATE },
    Workload { kind: "ReplicationController", api_version: "v1", template: TEMPLATE },
    Workload { kind: "Job", api_version: "batch/v1", template: TEMPLATE },
    Workload {
        kind: "CronJob",
        api_version: "batch/v1",
        template: &["spec", "jobTemplate", "spec", "template"],
    },
];

impl Workload {
    /// What an object is to us; none for a kind that runs no pods, or none that we know of.
    pub(crate) fn find(object: &Field<'_>) -> Result<Option<&'static Self>, InjectError> {
        let kind = object.require("kind")?;
        let name = kind.string()?;
        let of = |name: &str| WORKLOADS.iter().find(|workload| workload.kind == name);
        if let Some(item) = name.strip_suffix("List").and_then(of) {
            let remedy =
                format!("write it as List, each {} with its apiVersion and kind", item.kind);
            return Err(kind
                .error(format!("is {name}, whose items do not say theirs"), remedy)
                .into());
        }
        let Some(workload) = of(name) else { return Ok(None) };
        let version = object.require("apiVersion")?;
        match version.string()? {
            text if text == workload.api_version => Ok(Some(workload)),
            text if group(text) == group(workload.api_version) => {
                let problem = format!("is {text}, in which no cluster serves {name}");
                let remedy = format!("write {}", workload.api_version);
                Err(version.error(problem, remedy).into())
            }
            // Another project's kind of that name.
            _ => Ok(None),
        }
    }

    /// Like [`find`](Self::find), where nothing but a workload will do.
    pub(crate) fn of(object: &Field<'_>) -> Result<&'static Self, InjectError> {
        Self::find(object)?.ok_or_else(|| {
            let known: Vec<&str> = WORKLOADS.iter().map(|workload| workload.kind).collect();
            let field = object.path.key("kind");
            InjectError::new(
                field,
                "is no kind whose pods Remora knows",
                format!("give one of {}", known.join(", ")),
            )
        })
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether it is a Pod itself, with a name of its own.
    pub(crate) fn is_pod(&self) -> bool {
        self.template.is_empty()
    }

    /// The map with the pod's `metadata` and `spec`.
    pub(crate) fn template<'a>(&self, object: &Field<'a>) -> Result<Field<'a>, InjectError> {
        let step = |at: Field<'a>, name: &&str| at.require(name);
        self.template.iter().try_fold(object.clone(), step).map_err(InjectError::from)
    }

    /// The same map, to be changed.
    pub(crate) fn template_mut<'a>(
        &self,
        object: &'a mut Value,
    ) -> Result<&'a mut Map<String, Value>, InjectError> {
        let root = object.as_object_mut().ok_or_else(InjectError::no_map)?;
        self.template.iter().try_fold(root, |at, name| object_in(at, name))
    }
}

/// Whether a Pod, or a workload's template, has Remora in it, in either mode.
pub fn is_injected(manifest: &Value) -> bool {
    proxy_mode(manifest).is_some()
}

/// Where the proxy of a Pod, or of a workload's pods, stands: by what the container under our
/// name is. None if there is no such container.
pub fn proxy_mode(manifest: &Value) -> Option<ProxyMode> {
    let says = |name| manifest.get(name).and_then(Value::as_str);
    let workload = WORKLOADS.iter().find(|workload| {
        says("kind") == Some(workload.kind) && says("apiVersion") == Some(workload.api_version)
    });
    let is_ours =
        |item: &&Value| item.get("name").and_then(Value::as_str) == Some(SIDECAR_CONTAINER);
    let template = workload?.template.iter().try_fold(manifest, |at, name| at.get(name))?;
    let ours = template.pointer("/spec/initContainers")?.as_array()?.iter().find(is_ours)?;
    Some(match ours.get("restartPolicy").and_then(Value::as_str) {
        Some("Always") => ProxyMode::Sidecar,
        _ => ProxyMode::Node,
    })
}

/// The API group of an `apiVersion`; empty for the core group.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
