//! What became of a review, in a few words that make good labels: a pod's author chooses
//! among them, and can add none.

use remora_manifest::Segment;

use super::choice::Skip;
use crate::InjectError;
use crate::check::REDIRECTORS;

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Taken, with Remora in it.
    Injected,
    /// Taken as it is.
    Skipped,
    /// Not taken.
    Refused,
    /// No review of a pod's creation.
    Malformed,
    /// Our own fault.
    Failed,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Injected, Self::Skipped, Self::Refused, Self::Malformed, Self::Failed];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
        }
    }
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is nothing to say.
    None,
    /// It does not take part.
    Skip(Skip),
    /// An annotation or label of Remora's is wrong.
    Setting,
    /// Another mesh redirects this pod.
    OtherMesh,
    /// A user or group that is the proxy's, a capability, or a privilege.
    Security,
    /// It uses the node's network, or Windows, where it may not.
    Host,
    /// A probe or hook that cannot be led to the sidecar.
    Probe,
    /// A port of the sidecar's.
    Port,
    /// Anything else about its containers and volumes.
    Pod,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Skip(Skip::OptedOut),
        Self::Skip(Skip::HostNetwork),
        Self::Skip(Skip::Windows),
        Self::Skip(Skip::Mirror),
        Self::Setting,
        Self::OtherMesh,
        Self::Security,
        Self::Host,
        Self::Probe,
        Self::Port,
        Self::Pod,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Skip(skip) => skip.word(),
            Self::Setting => "setting",
            Self::OtherMesh => "other_mesh",
            Self::Security => "security",
            Self::Host => "host",
            Self::Probe => "probe",
            Self::Port => "port",
            Self::Pod => "pod",
        }
    }

    /// Why a pod was refused, by the field that stands in the way.
    pub(super) fn of(error: &InjectError) -> Self {
        let has = |name: &str| {
            let is_it = |segment: &Segment| matches!(segment, Segment::Key(key) if key == name);
            error.field.segments().iter().any(is_it)
        };
        let is_other_mesh =
            || REDIRECTORS.iter().any(|(name, _)| error.problem.starts_with(&format!("`{name}` ")));
        match () {
            () if has("annotations") || has("labels") => Self::Setting,
            () if has("name") && has("os") || has("hostNetwork") || has("nodeSelector") => {
                Self::Host
            }
            () if has("name") && is_other_mesh() => Self::OtherMesh,
            () if has("securityContext") => Self::Security,
            () if has("lifecycle") || PROBES.iter().any(|name| has(name)) => Self::Probe,
            () if has("ports") => Self::Port,
            () => Self::Pod,
        }
    }
}

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
