//! One pod's policy, compiled: it decides on connections and on requests.
//!
//! What a decision costs follows from the request: rules are looked up by
//! port ([`table`]), peer ([`peers`]) and by what they ask for ([`index`]).

mod audit;
mod compile;
mod decide;
mod draft;
mod index;
mod peers;
mod reason;
mod suspects;
mod table;
#[cfg(test)]
mod tests;

pub use compile::{CompileError, MAX_PEERS, MAX_RULES, Problem};
pub use reason::{Admission, Decision, Reason, TrafficDirection, Verdict};
pub use table::MAX_RANGES_OF_A_PORT;

use self::{suspects::Suspects, table::Table};
use crate::pattern::PatternSet;

/// What one endpoint may receive and send.
#[derive(Debug)]
pub struct Slice {
    enforced: Ruling,
    /// What would be enforced if policies in audit mode were.
    audited: Option<Ruling>,
}

/// What some policies together say.
#[derive(Debug)]
struct Ruling {
    /// None as long as no policy has come.
    tables: Option<Tables>,
    suspects: Suspects,
}

#[derive(Debug)]
struct Tables {
    ingress: Table,
    egress: Table,
    patterns: PatternSet,
}

impl Slice {
    /// The slice of an endpoint whose policy has not come yet: nothing passes.
    #[must_use]
    pub const fn deny_all() -> Self {
        Self { enforced: Ruling { tables: None, suspects: Suspects::NONE }, audited: None }
    }
}
