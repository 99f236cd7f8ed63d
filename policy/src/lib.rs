//! What policies say, and what that means for one request.
//!
//! A policy goes one way, the same in agent, sidecar and `remora policy test`:
//!
//! ```text
//! YAML --read_policy--> Policy --PolicySet, encode--> NPDS --Slice::compile--> decisions
//! ```
//!
//! Everything here is pure: no clock, no I/O, no logger. Whatever is not
//! understood is refused and stays closed. The encoding, field by field, is in
//! `docs/policy-encoding.md`.

// Policies come from many hands, slices from the wire, requests from anybody.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod encode;
mod hosts;
mod labels;
mod matcher;
mod model;
mod pattern;
mod peers;
mod prefix;
#[cfg(feature = "yaml")]
mod read;
mod refusal;
mod selector;
mod set;
mod slice;
mod view;

pub use encode::{Encoded, Endpoint, encode};
pub use hosts::{Holder, Hosts, HostsError, MAX_HOSTS, UNKNOWN, WORLD};
pub use labels::{
    Labels, LabelsError, NAMESPACE_KEY, NAMESPACE_LABELS_PREFIX, SERVICE_ACCOUNT_KEY,
};
pub use matcher::{MAX_REGEX_BYTES, MAX_REGEXES};
pub use model::{
    L7Filter, L7Rule, Mode, PeerRule, Policy, PolicyKind, PolicyName, Port, PortRange, PortRule,
    Rule, Section,
};
pub use pattern::{MAX_PATTERN_BYTES, MAX_PATTERN_PROGRAM_BYTES, PatternError};
pub use peers::{Cidr, ObjectSelector, Peer, Peers};
pub use prefix::{Prefix, PrefixError};
#[cfg(feature = "yaml")]
pub use read::{is_policy, read_cidr_group, read_policy};
pub use refusal::{Closed, PolicyError, Reading, RefusedPolicy};
pub use selector::{Key, Operator, Requirement, Selector, Source};
pub use set::{Inserted, PolicySet};
pub use slice::{
    Admission, CompileError, Decision, MAX_PEERS, MAX_RANGES_OF_A_PORT, MAX_RULES, Problem, Reason,
    Slice, TrafficDirection, Verdict,
};
pub use view::{Catalog, CidrGroup, ClusterView, Identity, NamedPorts, ServiceBackends};
