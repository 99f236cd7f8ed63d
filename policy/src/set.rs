//! The policies that are in force.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    labels::Labels,
    model::{Policy, PolicyKind, PolicyName, Rule},
    prefix::Prefix,
    refusal::{Closed, Reading, RefusedPolicy},
    view::Catalog,
};

/// Every policy that is known, by kind and name.
///
/// A refused version never replaces a good one: that stays in force. Where no
/// good one is known, what the refused one is about is closed.
#[derive(Debug, Clone, Default)]
pub struct PolicySet(BTreeMap<(PolicyKind, PolicyName), Standing>);

/// The last good version of a policy, and the refused one that came after it.
#[derive(Debug, Clone, Default)]
struct Standing {
    good: Option<Policy>,
    refused: Option<RefusedPolicy>,
}

/// What became of a policy that was put into the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is in force.
    InForce,
    /// It is refused; its last good version stays in force.
    KeptLastGood,
    /// It is refused, and what it is about is closed.
    Closed,
}

impl PolicySet {
    /// Puts a policy into the set, in the place of an older version.
    pub fn insert(&mut self, reading: Reading) -> Inserted {
        match reading {
            Reading::Accepted(policy) => {
                let key = (policy.kind, policy.name.clone());
                self.0.insert(key, Standing { good: Some(policy), refused: None });
                Inserted::InForce
            }
            Reading::Refused(refused) => {
                let key = (refused.kind, refused.name.clone());
                let standing = self.0.entry(key).or_default();
                standing.refused = Some(refused);
                if standing.good.is_some() { Inserted::KeptLastGood } else { Inserted::Closed }
            }
        }
    }

    /// Takes a policy out: it was deleted. Says whether it was there.
    pub fn remove(&mut self, kind: PolicyKind, name: &PolicyName) -> bool {
        self.0.remove(&(kind, name.clone())).is_some()
    }

    /// Kind and name of every policy of the set, in order.
    pub fn names(&self) -> impl Iterator<Item = (PolicyKind, &PolicyName)> {
        self.0.keys().map(|(kind, name)| (*kind, name))
    }

    /// The policies that are in force, last good versions among them.
    pub fn in_force(&self) -> impl Iterator<Item = &Policy> {
        self.0.values().filter_map(|standing| standing.good.as_ref())
    }

    /// The refused policies, with or without a good version in force.
    pub fn refused(&self) -> impl Iterator<Item = &RefusedPolicy> {
        self.0.values().filter_map(|standing| standing.refused.as_ref())
    }

    /// What refused policies close.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&RefusedPolicy, &Closed)> {
        self.0
            .values()
            .filter(|standing| standing.good.is_none())
            .filter_map(|standing| standing.refused.as_ref())
            .flat_map(|refused| refused.closes.iter().map(move |closed| (refused, closed)))
    }

    /// The parts of the world that rules in force name: somebody has to be
    /// known by each of them.
    #[must_use]
    pub fn prefixes(&self, catalog: &Catalog) -> BTreeSet<Prefix> {
        let rules = self.in_force().flat_map(|policy| &policy.rules);
        rules.flat_map(|rule| catalog.prefixes(rule)).collect()
    }

    /// The rules in force that are about an endpoint with these labels.
    pub(crate) fn about<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Rule> {
        self.in_force()
            .flat_map(|policy| policy.rules.iter())
            .filter(|rule| rule.subject.matches(labels))
    }
}
