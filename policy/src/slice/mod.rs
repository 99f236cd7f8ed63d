//! One pod's policy, compiled: it decides on connections and on requests.

mod audit;
mod compile;
mod decide;
mod reason;
mod suspects;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use remora_parsers::Protocol;

pub use compile::{CompileError, MAX_PEERS, MAX_RULES, Problem};
pub use reason::{Admission, Decision, Reason, TrafficDirection, Verdict};

use self::suspects::Suspects;
use crate::matcher::Matcher;

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
}

/// The rules of one direction, by port. A port's own rules and those of each
/// range that holds it are judged together.
#[derive(Debug, Default)]
struct Table {
    exact: BTreeMap<u16, Vec<Rule>>,
    ranges: Vec<(RangeInclusive<u16>, Vec<Rule>)>,
}

/// What some peers may do on a port.
#[derive(Debug)]
struct Rule {
    name: Option<Arc<str>>,
    peers: Peers,
    effect: Effect,
}

#[derive(Debug)]
enum Peers {
    Any,
    /// Sorted.
    These(Box<[u32]>),
}

#[derive(Debug)]
enum Effect {
    /// Nothing.
    Deny,
    /// Whatever they like; the reason says why.
    Open(Reason),
    /// Requests that the filter lets through.
    Filter(Filter),
}

#[derive(Debug)]
struct Filter {
    protocol: &'static Protocol,
    allow: Vec<L7Rule>,
    deny: Vec<L7Rule>,
}

#[derive(Debug)]
struct L7Rule {
    name: Option<Arc<str>>,
    matcher: Matcher,
}

impl Slice {
    /// The slice of an endpoint whose policy has not come yet: nothing passes.
    #[must_use]
    pub const fn deny_all() -> Self {
        Self { enforced: Ruling { tables: None, suspects: Suspects::NONE }, audited: None }
    }
}

impl Table {
    fn rules(&self, port: u16) -> impl Iterator<Item = &Rule> {
        let ranges = self.ranges.iter().filter(move |(range, _)| range.contains(&port));
        self.exact.get(&port).into_iter().chain(ranges.map(|(_, rules)| rules)).flatten()
    }
}

impl Rule {
    fn is_about(&self, peer: Option<u32>) -> bool {
        match &self.peers {
            Peers::Any => true,
            Peers::These(peers) => peer.is_some_and(|peer| peers.binary_search(&peer).is_ok()),
        }
    }
}
