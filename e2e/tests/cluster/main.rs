//! On a real Kubernetes: what `remora inject | kubectl apply` gives its user.
//!
//! `cargo xtask e2e-cluster` builds the images, brings a cluster up and runs these. They
//! need the images in the cluster, and `REMORA_E2E_KUBECONFIG`.

mod agent_away;
mod bad_input;
mod cilium_kind;
mod client;
mod credentials;
mod drain;
mod droid;
mod edits;
mod egress;
mod install;
mod journals;
mod kubectl;
mod manners;
mod probes;
mod restart;
mod reuse;
mod rights;
mod rollout;
mod stage;
mod table;
mod webhook;
