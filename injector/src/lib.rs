//! Puts Remora into a Pod, and takes it out again: pure functions from manifest to manifest.
//!
//! [`inject`] adds an init container that redirects the pod's traffic, the sidecar that
//! judges it, and the volume through which the sidecar reaches its agent. The annotation
//! [`STATUS_ANNOTATION`] remembers what the pod looked like before, so that [`uninject`]
//! gives back the very same value. Fields that we do not know pass through untouched.
//!
//! For any Pod `p` that [`inject`] accepts, `inject(inject(p)) == inject(p)` and, if `p` was
//! not injected before, `uninject(inject(p)) == p`. Injecting again takes our parts out and
//! renders them anew, so what counts is never what a pod says that it carries.

mod check;
mod config;
mod error;
mod file;
mod mutate;
mod render;
mod status;

pub use check::{is_injected, is_pod};
pub use config::{
    ADMIN_PORT, AGENT_VOLUME, HEALTH_PORT, INBOUND_PORT, INIT_CONTAINER, InjectConfig,
    METRICS_PORT, OUTBOUND_PORT, OWN_PORTS, PROXY_UID, SIDECAR_CONTAINER, STATUS_ANNOTATION,
};
pub use error::InjectError;
pub use file::{Refused, Rewritten, rewrite};
pub use mutate::{inject, uninject};
