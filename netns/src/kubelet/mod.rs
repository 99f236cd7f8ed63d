//! What a kubelet does for one pod: starts its containers in order, probes
//! them, and starts them again.

mod call;
mod container;
mod prober;
mod recipe;
mod report;
mod start;
mod volumes;

pub(crate) use container::Container;
pub(crate) use start::{Host, start};

pub(crate) use report::complete;
pub use report::report_to;
pub(crate) use volumes::remove_volumes;
