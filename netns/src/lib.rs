//! Pods as network namespaces: what a kubelet does with a Pod manifest, and
//! nothing more, on one machine and without a cluster.
//!
//! A [`Node`] is a network namespace with a bridge. [`Node::run_pod`] takes a
//! manifest as JSON, gives the pod addresses, reports them (as a kubelet writes
//! `status.podIPs`), and starts its containers in a kubelet's order: init
//! containers one after the other, native sidecars behind their startup probe,
//! then the containers. Image, command, environment, user, capabilities and
//! volumes come from the manifest alone. A field that cannot be honoured here
//! is an error that names it.
//!
//! There is no API server. A ConfigMap is what the owner puts into the directory
//! `configmaps/NAMESPACE/NAME` of [`Node::work_dir`], before or after the pod
//! starts. A projected token is a line of JSON with the claims `aud`, `sub` and
//! `kubernetes.io` that a signed one has: whoever reviews it takes its word. Nor
//! is there a container runtime: its default seccomp profile does nothing, and
//! another one is refused.
//!
//! Nothing outlives the owner. Namespaces are anonymous and held by file
//! descriptors; every container is the child of a `remora-shim` process that
//! ends it once the owner is gone, however the owner ended; mounts exist only
//! in the containers' own mount namespaces.

mod connect;
mod error;
mod image;
mod kubelet;
mod manifest;
mod net;
mod node;
mod pod;
mod preflight;
mod run;
mod scratch;
pub mod shim;

pub use error::Error;
pub use image::{Image, Images};
pub use kubelet::report_to;
pub use node::Node;
pub use pod::Pod;
pub use preflight::preflight;
pub use run::{Job, Output, Process};
pub use rustix::process::Signal;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
