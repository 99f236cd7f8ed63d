//! Enforcement on real traffic: pods as network namespaces, the built agent,
//! init and sidecar, a real memcached. Runs as root and fails, not skips,
//! without it.

mod bad_input;
mod clients;
mod enforcement;
mod forged;
mod lifecycle;
mod memory;
mod redirection;
mod stage;
