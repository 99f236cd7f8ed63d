//! The rules of one direction as they were read, before they are compiled.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use remora_parsers::Protocol;

use super::Reason;
use crate::matcher::Matcher;

/// Rules by port. A port's own rules and those of each range that holds it are
/// judged together, its own first.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) exact: BTreeMap<u16, Vec<Rule>>,
    pub(super) ranges: Vec<(RangeInclusive<u16>, Vec<Rule>)>,
}

/// What some peers may do on a port.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Option<Arc<str>>,
    pub(super) peers: Peers,
    pub(super) effect: Effect,
}

/// Whom a rule is about.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Peers {
    Any,
    /// Sorted.
    These(Box<[u32]>),
}

#[derive(Debug)]
pub(super) enum Effect {
    /// Nothing.
    Deny,
    /// Whatever they like; the reason says why.
    Open(Reason),
    /// Requests that the filter lets through.
    Filter(Filter),
}

#[derive(Debug)]
pub(super) struct Filter {
    pub(super) protocol: &'static Protocol,
    pub(super) allow: Vec<L7Rule>,
    pub(super) deny: Vec<L7Rule>,
}

#[derive(Debug)]
pub(super) struct L7Rule {
    pub(super) name: Option<Arc<str>>,
    pub(super) matcher: Matcher,
}
