//! A whole sidecar in this process: a scripted agent on a unix socket, a fake
//! app and clients on loopback. Only the redirection is missing.

mod agent;
mod cost;
mod egress;
mod fairness;
mod flips;
mod health;
mod l4;
mod l7;
mod lifecycle;
mod limits;
mod metrics;
mod saved;
mod services;
mod support;
mod tls;
mod unknown;
