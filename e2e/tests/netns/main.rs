//! Enforcement on real traffic: pods as network namespaces, the built agent,
//! init and sidecar, a real memcached. Runs as root and fails, not skips,
//! without it.

mod bad_input;
mod by_hand;
mod bypass;
mod canaries;
mod cgroup;
mod chaos;
mod clients;
mod cost;
mod drain;
mod egress;
mod enforcement;
mod exhaustion;
mod fail_static;
mod finder;
mod forged;
mod lifecycle;
mod memory;
mod neighbours;
mod node_mode;
mod redirection;
mod services;
mod stage;
mod threads;
mod world;
