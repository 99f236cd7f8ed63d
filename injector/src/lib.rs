//! Puts Remora into a Pod or a workload's template, and takes it out again: pure functions
//! from manifest to manifest. [`admission`] is the same for a pod that is being created, and
//! the feature `webhook` the server around that.
//!
//! [`inject`] adds an init container that redirects the pod's traffic, the sidecar that
//! judges it, and the volumes through which the sidecar reaches its agent; and it leads the
//! kubelet's probes and hooks to the sidecar, which asks the originals. The annotation
//! [`STATUS_ANNOTATION`] remembers what the pod looked like before, so that [`uninject`]
//! gives back the very same value. Fields that we do not know pass through untouched.
//!
//! For any manifest `p` that [`inject`] accepts, `inject(inject(p)) == inject(p)` and, if `p`
//! was not injected before, `uninject(inject(p)) == p`. Injecting again takes our parts out
//! and renders them anew, so what counts is never what a pod says that it carries.

pub mod admission;
mod check;
mod config;
mod error;
mod file;
mod limits;
mod mutate;
mod numbers;
mod probes;
mod quantity;
mod render;
mod settings;
mod skip;
mod status;
#[cfg(feature = "webhook")]
pub mod webhook;
mod workload;

pub use config::{
    ADMIN_PORT, AGENT_URL, AGENT_VOLUME, ANNOTATION_PREFIX, AgentAddress, CA_CONFIG_MAP, CA_VOLUME,
    DEFAULT_CONTAINER_ANNOTATION, HEALTH_PORT, INBOUND_PORT, INIT_CONTAINER, InjectConfig,
    MAX_PROBES_BYTES, METRICS_PORT, OUTBOUND_PORT, OWN_PORTS, OWN_VOLUMES, PROXY_UID, ProxyMode,
    SIDECAR_CONTAINER, STATUS_ANNOTATION, TOKEN_AUDIENCE, TOKEN_VOLUME,
};
pub use error::InjectError;
pub use file::{Refused, Rewritten, rewrite};
pub use limits::{LIMITS, Limit, Limits, Setting, Unit};
pub use mutate::{inject, uninject};
pub use workload::{is_injected, proxy_mode};
