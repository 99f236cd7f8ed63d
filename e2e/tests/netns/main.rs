//! Enforcement on real traffic: pods as network namespaces, the built agent,
//! init and sidecar, a real memcached. Runs as root and fails, not skips,
//! without it.

mod bad_input;
mod bypass;
mod clients;
mod egress;
mod enforcement;
mod lifecycle;
mod memory;
mod redirection;
mod services;
mod stage;
mod world;
