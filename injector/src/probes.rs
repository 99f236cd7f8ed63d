//! The kubelet's calls into a pod: probes and lifecycle hooks.
//!
//! A call from the kubelet to the app would be redirected, and judged as what it is: one
//! from the node, which no policy allows. So it is led to the sidecar's health port, under a
//! path that names container and call, and the sidecar, from inside the pod, asks the
//! original. Commands are run in the container and need none of this.

#[cfg(test)]
mod tests;

mod handler;

use remora_manifest::Field;
use serde_json::{Map, Value, json};

use crate::check::items;
use crate::config::MAX_PROBES_BYTES;
use crate::{HEALTH_PORT, InjectError};

/// The fields that a rewriting replaces; all others of a probe stay.
const REPLACED: [&str; 4] = ["httpGet", "tcpSocket", "grpc", "timeoutSeconds"];

/// A place in a container where the kubelet may be told to call the pod.
#[derive(Debug)]
struct Slot {
    /// The way from the container.
    fields: &'static [&'static str],
    /// How the path on the health port begins, and how it ends.
    url: (&'static str, &'static str),
}

impl Slot {
    const ALL: [Self; 5] = [
        Self { fields: &["livenessProbe"], url: ("/probe", "liveness") },
        Self { fields: &["readinessProbe"], url: ("/probe", "readiness") },
        Self { fields: &["startupProbe"], url: ("/probe", "startup") },
        Self { fields: &["lifecycle", "postStart"], url: ("/lifecycle", "postStart") },
        Self { fields: &["lifecycle", "preStop"], url: ("/lifecycle", "preStop") },
    ];

    fn is_probe(&self) -> bool {
        self.url.0 == "/probe"
    }

    fn url(&self, container: &str) -> String {
        let (begin, end) = self.url;
        format!("{begin}/{container}/{end}")
    }

    /// What the container has in this place.
    fn find<'a>(&self, container: &Field<'a>) -> Result<Option<Field<'a>>, InjectError> {
        let mut place = Some(container.clone());
        for name in self.fields {
            place = match place {
                Some(place) => place.get_given(name)?,
                None => break,
            };
        }
        Ok(place)
    }

    fn find_mut<'a>(&self, container: &'a mut Value) -> Option<&'a mut Map<String, Value>> {
        self.fields.iter().try_fold(container, |place, name| place.get_mut(name))?.as_object_mut()
    }
}

/// A pod's calls that go through the sidecar, by their path on its health port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// What the sidecar asks: the handler with its port's number, and a probe's timeout.
    questions: Map<String, Value>,
    /// What the rewriting replaces, word for word.
    pub(crate) originals: Map<String, Value>,
}

impl Calls {
    /// The calls of a pod's template.
    pub(crate) fn read(template: &Field<'_>) -> Result<Self, InjectError> {
        let spec = template.require("spec")?;
        let mut calls = Self::default();
        for container in user_containers(&spec)? {
            let name = container.require("name")?.string()?;
            for slot in &Slot::ALL {
                if let Some(place) = slot.find(&container)?
                    && let Some(question) = handler::question(&place, &container, slot.is_probe())?
                {
                    let url = slot.url(name);
                    calls.originals.insert(url.clone(), replaced_fields(&place.node.to_json()));
                    calls.questions.insert(url, question);
                }
            }
        }
        let length = calls.variable().map_or(0, |text| text.len());
        if length > MAX_PROBES_BYTES {
            let problem = format!("have probes and hooks of {length} bytes");
            let remedy = format!("shorten their headers to {MAX_PROBES_BYTES} bytes in all");
            return Err(InjectError::new(spec.path.key("containers"), problem, remedy));
        }
        Ok(calls)
    }

    /// The value of `REMORA_PROBES`; none for a pod without such calls. The kubelet expands
    /// `$(NAME)` in values of variables but not in probes, so no dollar sign is left in it.
    pub(crate) fn variable(&self) -> Option<String> {
        let text = || json!(self.questions).to_string().replace('$', r"\u0024");
        (!self.questions.is_empty()).then(text)
    }

    /// Leads the calls to the sidecar.
    pub(crate) fn rewrite(&self, spec: &mut Map<String, Value>) {
        each_call(spec, |slot, url, call| {
            let Some(question) = self.questions.get(url) else { return };
            let mut ours = Map::new();
            ours.insert("httpGet".to_owned(), json!({"path": url, "port": HEALTH_PORT}));
            if slot.is_probe() {
                // The sidecar's own "it took too long" has to arrive before the kubelet hangs up.
                let timeout = question.get("timeoutSeconds").and_then(Value::as_i64).unwrap_or(1);
                ours.insert("timeoutSeconds".to_owned(), timeout.saturating_add(1).into());
            }
            replace(call, ours);
        });
    }
}

/// Leads the calls back. One that no longer goes to the sidecar was changed by somebody
/// else since, and stays.
pub(crate) fn restore(spec: &mut Map<String, Value>, originals: &Map<String, Value>) {
    each_call(spec, |_, url, call| {
        let is_ours = |get: &Value| {
            get.get("path").and_then(Value::as_str) == Some(url)
                && get.get("port").and_then(Value::as_u64) == Some(HEALTH_PORT.into())
        };
        if let Some(original) = originals.get(url)
            && call.get("httpGet").is_some_and(is_ours)
            && let Value::Object(fields) = replaced_fields(original)
        {
            replace(call, fields);
        }
    });
}

/// The containers that may have probes and hooks: the API takes none on an init container
/// that runs to its end.
fn user_containers<'a>(spec: &Field<'a>) -> Result<Vec<Field<'a>>, InjectError> {
    let mut containers = Vec::new();
    for init in items(spec, "initContainers")? {
        if let Some(policy) = init.get_given("restartPolicy")?
            && policy.string()? == "Always"
        {
            containers.push(init);
        }
    }
    containers.extend(items(spec, "containers")?);
    Ok(containers)
}

fn each_call(
    spec: &mut Map<String, Value>,
    mut visit: impl FnMut(&Slot, &str, &mut Map<String, Value>),
) {
    for list in ["initContainers", "containers"] {
        let items = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in items.into_iter().flatten() {
            let Some(name) = container.get("name").and_then(Value::as_str) else { continue };
            let name = name.to_owned();
            for slot in &Slot::ALL {
                if let Some(call) = slot.find_mut(container) {
                    visit(slot, &slot.url(&name), call);
                }
            }
        }
    }
}

/// The part of a probe or hook that a rewriting replaces.
fn replaced_fields(call: &Value) -> Value {
    let fields = call.as_object().into_iter().flatten();
    let replaced = fields.filter(|(name, _)| REPLACED.contains(&name.as_str()));
    Value::Object(replaced.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Puts `fields` where the first of the replaced ones stood.
fn replace(call: &mut Map<String, Value>, fields: Map<String, Value>) {
    let mut fields = Some(fields);
    for (name, value) in std::mem::take(call) {
        if !REPLACED.contains(&name.as_str()) {
            call.insert(name, value);
        } else if let Some(fields) = fields.take() {
            call.extend(fields);
        }
    }
}
