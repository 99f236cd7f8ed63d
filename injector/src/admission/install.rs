//! What an installation decides for all pods, and how far a pod's annotations may go.

use serde_json::Value;

use crate::numbers::{THREADS, THREADS_VARIABLE};
use crate::quantity::Quantity;
use crate::{ANNOTATION_PREFIX, INIT_CONTAINER, InjectConfig, InjectError, SIDECAR_CONTAINER};
use remora_manifest::FieldPath;

/// What the webhook is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Install {
    /// What is put into pods.
    pub inject: InjectConfig,
    /// The most that a pod may ask for its sidecar.
    pub ceiling: Ceiling,
    /// What pods of enforced namespaces may leave out of the redirection.
    pub skips: Skips,
}

/// Entries that an `enforced` namespace's pods may have skipped, as they write them. Those of an
/// `enabled` one may skip what they like: they could leave Remora out altogether.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// Ports and ranges of incoming connections.
    pub inbound_ports: Vec<String>,
    /// Ports and ranges of outgoing ones.
    pub outbound_ports: Vec<String>,
    /// Networks of outgoing ones.
    pub outbound_cidrs: Vec<String>,
}

impl Skips {
    /// That an injected pod has nothing else skipped: by what its init container is told.
    pub(super) fn check(&self, pod: &Value) -> Result<(), InjectError> {
        let Some(init) = super::container(pod, INIT_CONTAINER) else { return Ok(()) };
        let args =
            init.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let words: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
        for (name, allowed) in [
            ("skip-inbound-ports", &self.inbound_ports),
            ("skip-outbound-ports", &self.outbound_ports),
            ("skip-outbound-cidrs", &self.outbound_cidrs),
        ] {
            let is_flag = |word: &&str| word.strip_prefix("--") == Some(name);
            let Some(list) = words.iter().skip_while(|word| !is_flag(word)).nth(1) else {
                continue;
            };
            if let Some(entry) =
                list.split(',').find(|entry| !allowed.iter().any(|one| one == entry))
            {
                let field = annotated(&format!("{ANNOTATION_PREFIX}{name}"));
                let problem =
                    format!("skips {entry}, which this installation keeps in enforced namespaces");
                let remedy = match allowed.is_empty() {
                    true => "remove the annotation".to_owned(),
                    false => format!("skip only {}", allowed.join(", ")),
                };
                return Err(InjectError::new(field, problem, remedy));
            }
        }
        Ok(())
    }
}

/// The most that a sidecar may be given: resources, as request or limit, and threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    threads: Option<u64>,
    cpu: Option<(String, Quantity)>,
    memory: Option<(String, Quantity)>,
}

impl Ceiling {
    /// From Kubernetes quantities such as `2` and `512Mi`; none is what any pod may have.
    ///
    /// # Errors
    /// The text that is no quantity.
    pub fn new(cpu: Option<&str>, memory: Option<&str>) -> Result<Self, String> {
        let read = |text: Option<&str>| match text {
            None => Ok(None),
            Some(text) => match Quantity::parse(text) {
                Some(quantity) => Ok(Some((text.to_owned(), quantity))),
                None => Err(format!("`{text}` is no quantity; write one such as 2 or 512Mi")),
            },
        };
        Ok(Self { threads: None, cpu: read(cpu)?, memory: read(memory)? })
    }

    /// The same, with so many threads at most.
    #[must_use]
    pub fn threads(self, most: Option<u64>) -> Self {
        Self { threads: most, ..self }
    }

    /// That the sidecar of an injected pod stays below.
    pub(super) fn check(&self, pod: &Value) -> Result<(), InjectError> {
        let Some(sidecar) = super::container(pod, SIDECAR_CONTAINER) else { return Ok(()) };
        for (resource, most) in [("cpu", &self.cpu), ("memory", &self.memory)] {
            let Some((text, most)) = most else { continue };
            for (list, word) in [("requests", "request"), ("limits", "limit")] {
                let amount = sidecar.pointer(&format!("/resources/{list}/{resource}"));
                let amount = amount.and_then(Value::as_str);
                if amount.and_then(Quantity::parse).is_some_and(|amount| amount > *most) {
                    return Err(beyond(&format!("{ANNOTATION_PREFIX}{resource}-{word}"), text));
                }
            }
        }
        let asked = threads(sidecar);
        match self.threads.filter(|most| asked.is_some_and(|asked| asked > *most)) {
            Some(most) => Err(beyond(THREADS, &most.to_string())),
            None => Ok(()),
        }
    }
}

/// How many threads a sidecar is told to have.
fn threads(sidecar: &Value) -> Option<u64> {
    let env = sidecar.get("env")?.as_array()?;
    let name = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(THREADS_VARIABLE);
    env.iter().find(name)?.get("value")?.as_str()?.parse().ok()
}

fn beyond(annotation: &str, most: &str) -> InjectError {
    let problem = format!("is more than {most}, the most that this installation gives");
    InjectError::new(annotated(annotation), problem, format!("ask for {most} at most"))
}

fn annotated(annotation: &str) -> FieldPath {
    FieldPath::root().key("metadata").key("annotations").key(annotation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_installation_lists_is_skipped_where_it_is_enforced() {
        let skips = Skips {
            inbound_ports: vec!["22".to_owned(), "8000-8010".to_owned()],
            ..Skips::default()
        };
        let check = |more: &[&str]| {
            let args: Vec<&str> = ["--inbound-port", "16006"].iter().chain(more).copied().collect();
            let init = json!({"name": "remora-init", "args": args});
            skips.check(&json!({"spec": {"initContainers": [init]}}))
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["--skip-inbound-ports", "22,8000-8010"]), Ok(()));
        let error = check(&["--skip-inbound-ports", "22,23"]).expect_err("refused").to_string();
        assert!(error.contains("skip-inbound-ports") && error.contains("skips 23"), "{error}");
        assert!(error.contains("skip only 22, 8000-8010"), "{error}");
        let error =
            check(&["--skip-outbound-cidrs", "10.0.0.0/8"]).expect_err("refused").to_string();
        assert!(error.contains("remove the annotation"), "{error}");
    }
}
