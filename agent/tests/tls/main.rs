//! The agent API over TLS: who gets in, to what, and what they cannot do to the
//! others. `docs/threats.md`, rows 116 to 120.

#[path = "../common/mod.rs"]
mod common;

mod certificate;
mod cluster;
mod floods;
mod newcomers;
mod nodes;
mod stage;
mod tokens;
