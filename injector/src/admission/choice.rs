//! Who is injected: what the labels of a namespace and of a pod say, and what the pod is.
//!
//! The truth table is in `docs/webhook.md`, and a test.

use remora_manifest::Field;
use serde_json::Value;

use crate::InjectError;

/// The label of namespaces and pods.
pub const INJECT_LABEL: &str = "remora.dev/inject";
/// Namespaces in which nothing is ever injected: what they hold has to start without us.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// What a kubelet puts on the API server's image of a pod that it runs from a file.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What a namespace's label asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Pods are injected unless they say otherwise, or cannot be.
    Enabled,
    /// Every pod is injected, or refused.
    Enforced,
}

impl Mode {
    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Enforced => "enforced",
        }
    }
}

/// How a namespace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its label asks for it.
    In(Mode),
    /// It has no such label, or `disabled`.
    Out,
    /// A namespace of Kubernetes' own, or Remora's: its label changes nothing.
    Exempt,
    /// Its label has a value that means nothing. Its pods are *not* injected.
    Misspelt,
}

impl Standing {
    /// How the namespace `name` stands with this label, if `own` is Remora's.
    #[must_use]
    pub fn of(name: &str, label: Option<&str>, own: &str) -> Self {
        match label {
            _ if name == own || SYSTEM_NAMESPACES.contains(&name) => Self::Exempt,
            None | Some("disabled") => Self::Out,
            Some("enabled") => Self::In(Mode::Enabled),
            Some("enforced") => Self::In(Mode::Enforced),
            Some(_) => Self::Misspelt,
        }
    }
}

/// Why a pod runs without Remora, though its namespace asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// Its label says so.
    OptedOut,
    /// It shares the node's network.
    HostNetwork,
    /// It runs on Windows.
    Windows,
    /// A kubelet runs it from a file; what the API server holds is an image of it.
    Mirror,
}

impl Skip {
    /// One word, for labels of metrics and reasons of Events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OptedOut => "opted_out",
            Self::HostNetwork => "host_network",
            Self::Windows => "windows",
            Self::Mirror => "mirror_pod",
        }
    }

    /// A sentence's end: this pod runs without Remora, because …
    #[must_use]
    pub const fn because(self) -> &'static str {
        match self {
            Self::OptedOut => "its label remora.dev/inject is disabled",
            Self::HostNetwork => {
                "it uses the node's network, on which a redirection would catch every pod's traffic"
            }
            Self::Windows => "it runs on Windows, where there is no redirection",
            Self::Mirror => "a kubelet runs it from a file, which nobody here can change",
        }
    }
}

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is injected, if nothing is wrong with it.
    Inject,
    /// It stays as it is.
    Skip(Skip),
}

/// What becomes of a pod in a namespace of this mode.
///
/// # Errors
/// Its label has no meaning, or it is what an `enforced` namespace does not take.
pub fn fate(pod: &Field<'_>, mode: Mode) -> Result<Fate, InjectError> {
    let spec = pod.require("spec")?;
    let metadata = pod.require("metadata")?;
    if metadata_has(&metadata, "annotations", MIRROR)? {
        return Ok(Fate::Skip(Skip::Mirror));
    }
    let opted_out = opts_out(&metadata)?;
    match mode {
        Mode::Enabled if opted_out => Ok(Fate::Skip(Skip::OptedOut)),
        Mode::Enabled if is_true(&spec, "hostNetwork")? => Ok(Fate::Skip(Skip::HostNetwork)),
        Mode::Enabled if windows(&spec)?.is_some() => Ok(Fate::Skip(Skip::Windows)),
        Mode::Enabled => Ok(Fate::Inject),
        // On the node's network is what `inject` itself refuses.
        Mode::Enforced => match windows(&spec)? {
            None => Ok(Fate::Inject),
            Some(field) => {
                let remedy = "run it in a namespace that is not enforced";
                Err(field.error("is Windows, where there is no redirection", remedy).into())
            }
        },
    }
}

/// Like [`fate`], of a pod as the API server holds it; what cannot be read is to be injected.
#[must_use]
pub fn fate_of(pod: &Value, mode: Mode) -> Fate {
    let tree = remora_manifest::Node::from_json(pod);
    fate(&Field::root(&tree), mode).unwrap_or(Fate::Inject)
}

/// Whether the pod's label asks to be left out.
pub(super) fn opts_out(metadata: &Field<'_>) -> Result<bool, InjectError> {
    let Some(labels) = metadata.get_given("labels")? else { return Ok(false) };
    let Some(label) = labels.get(INJECT_LABEL)? else { return Ok(false) };
    match label.string()? {
        "enabled" => Ok(false),
        "disabled" => Ok(true),
        other => {
            let problem = format!("`{other}` means nothing on a pod");
            Err(label.error(problem, "write enabled or disabled").into())
        }
    }
}

fn metadata_has(metadata: &Field<'_>, map: &str, key: &str) -> Result<bool, InjectError> {
    match metadata.get_given(map)? {
        Some(entries) => Ok(entries.get(key)?.is_some()),
        None => Ok(false),
    }
}

pub(super) fn is_true(of: &Field<'_>, name: &str) -> Result<bool, InjectError> {
    match of.get_given(name)? {
        Some(field) => Ok(field.boolean()?),
        None => Ok(false),
    }
}

/// The field that says that the pod is for Windows.
fn windows<'a>(spec: &Field<'a>) -> Result<Option<Field<'a>>, InjectError> {
    let os = spec.get_given("os")?.map(|os| os.require("name")).transpose()?;
    let nodes = spec.get_given("nodeSelector")?;
    let node = nodes.map(|nodes| nodes.get_given("kubernetes.io/os")).transpose()?.flatten();
    for field in [os, node].into_iter().flatten() {
        if field.string()? == "windows" {
            return Ok(Some(field));
        }
    }
    Ok(None)
}
