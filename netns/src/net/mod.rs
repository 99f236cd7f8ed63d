//! Network namespaces and the links between them.

mod links;
mod namespace;

pub(crate) use links::{Addresses, attach_pod, set_up_node};
pub(crate) use namespace::NetNs;
