//! What an installation decides for all pods, and how far a pod's annotations may go.

use serde_json::Value;

use crate::quantity::Quantity;
use crate::{ANNOTATION_PREFIX, InjectConfig, InjectError, SIDECAR_CONTAINER};
use remora_manifest::FieldPath;

/// What the webhook is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Install {
    /// What is put into pods.
    pub inject: InjectConfig,
    /// The most that a pod may ask for its sidecar.
    pub ceiling: Ceiling,
}

/// The most that a sidecar may be given, as request or limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
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
        Ok(Self { cpu: read(cpu)?, memory: read(memory)? })
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
                    let annotation = format!("{ANNOTATION_PREFIX}{resource}-{word}");
                    let field =
                        FieldPath::root().key("metadata").key("annotations").key(&annotation);
                    let problem =
                        format!("is more than {text}, the most that this installation gives");
                    return Err(InjectError::new(
                        field,
                        problem,
                        format!("ask for {text} at most"),
                    ));
                }
            }
        }
        Ok(())
    }
}
