//! Rules as sets of tests: which of them hold entirely, and which holds but
//! for the fewest keys.

use std::collections::HashMap;

use remora_parsers::RuleKey;

use super::at;

/// Rules of at most so many tests are found as nearest misses however many of
/// their tests fail; longer ones only where all but one hold.
const TRACKED: usize = 4;

/// A trie. A node stands for a set of tests, the edges to it for its tests in
/// ascending order.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Box<[Node]>,
    /// Test and node, node by node in ascending order.
    edges: Box<[(u32, u32)]>,
}

#[derive(Debug, Default)]
struct Node {
    /// The first rule that wants just these tests.
    rule: Option<u32>,
    /// The rule that wants these tests and the fewest besides.
    near: Option<Near>,
    /// Where its edges end.
    edges_end: u32,
}

/// A rule that does not hold, and how far it is from it.
#[derive(Debug, Clone, Copy)]
pub(in crate::slice) struct Near {
    /// How many of its keys are not satisfied.
    pub(in crate::slice) missing: u32,
    /// Which it is.
    pub(in crate::slice) rule: u32,
    /// The first of those keys.
    pub(in crate::slice) key: &'static RuleKey,
}

/// What was found for one request.
#[derive(Debug, Default)]
pub(in crate::slice) struct Found {
    /// The first rule that holds.
    pub(in crate::slice) rule: Option<u32>,
    /// Where none does, the first of those that come nearest.
    pub(in crate::slice) near: Option<Near>,
}

/// One rule as it is added: its tests in the order of its protocol's keys.
pub(super) struct Wanted<'a> {
    pub(super) rule: u32,
    /// A rule without a name is never told as the nearest.
    pub(super) named: bool,
    pub(super) tests: &'a [(u32, &'static RuleKey)],
}

#[derive(Default)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    edges: HashMap<(u32, u32), u32>,
}

impl Builder {
    /// Adds a rule. Rules come in order.
    pub(super) fn add(&mut self, wanted: &Wanted<'_>) {
        let mut tests: Vec<_> = wanted.tests.iter().map(|(test, _)| *test).collect();
        tests.sort_unstable();
        tests.dedup();
        self.node(&[]);
        let whole = self.node(&tests);
        if let Some(node) = self.nodes.get_mut(at(whole)) {
            node.rule.get_or_insert(wanted.rule);
        }
        if wanted.named {
            self.add_near(wanted, &tests);
        }
    }

    /// At every set of tests that the rule wants and more: what is missing.
    fn add_near(&mut self, wanted: &Wanted<'_>, tests: &[u32]) {
        let mut subsets = vec![tests.to_vec()];
        let mut next = 0;
        while let Some(subset) = subsets.get(next).cloned() {
            next = next.saturating_add(1);
            if subset.len() < tests.len() {
                self.offer(wanted, &subset);
                if tests.len() > TRACKED {
                    continue;
                }
            }
            for leave_out in &subset {
                // Each smaller set once: tests are left out in ascending order.
                let gone = |test: &&u32| !subset.contains(test);
                if tests.iter().filter(gone).all(|gone| gone < leave_out) {
                    subsets.push(subset.iter().filter(|t| *t != leave_out).copied().collect());
                }
            }
        }
    }

    fn offer(&mut self, wanted: &Wanted<'_>, subset: &[u32]) {
        let mut missing = wanted.tests.iter().filter(|(test, _)| !subset.contains(test));
        let Some((_, key)) = missing.next() else { return };
        let count = u32::try_from(missing.count().saturating_add(1)).unwrap_or(u32::MAX);
        let near = Near { missing: count, rule: wanted.rule, key };
        let place = self.node(subset);
        if let Some(node) = self.nodes.get_mut(at(place))
            && node.near.is_none_or(|other| near.missing < other.missing)
        {
            node.near = Some(near);
        }
    }

    /// The node for a set of tests.
    fn node(&mut self, tests: &[u32]) -> u32 {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut node = 0;
        for test in tests {
            let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            node = *self.edges.entry((node, *test)).or_insert(new);
            if node == new {
                self.nodes.push(Node::default());
            }
        }
        node
    }

    pub(super) fn build(mut self) -> Tree {
        let mut edges: Vec<_> = self.edges.into_iter().collect();
        edges.sort_unstable();
        for ((from, _), _) in &edges {
            if let Some(node) = self.nodes.get_mut(at(*from)) {
                node.edges_end = node.edges_end.saturating_add(1);
            }
        }
        let mut end = 0_u32;
        for node in &mut self.nodes {
            end = end.saturating_add(node.edges_end);
            node.edges_end = end;
        }
        Tree {
            nodes: self.nodes.into(),
            edges: edges.into_iter().map(|((_, test), to)| (test, to)).collect(),
        }
    }
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What holds where just `tests`, in ascending order, hold.
    pub(super) fn look(&self, tests: &[u32]) -> Found {
        let mut found = Found::default();
        self.visit(0, tests, &mut found);
        found
    }

    /// As deep as rules have tests.
    fn visit(&self, place: u32, tests: &[u32], found: &mut Found) {
        let Some(node) = self.nodes.get(at(place)) else { return };
        found.offer(node.rule, node.near);
        let end = |node: &Node| at(node.edges_end);
        let before = place.checked_sub(1).and_then(|before| self.nodes.get(at(before)));
        let edges = self.edges.get(before.map_or(0, end)..end(node)).unwrap_or_default();
        let mut rest = tests;
        while let ([test, further @ ..], false) = (rest, edges.is_empty()) {
            if let Ok(edge) = edges.binary_search_by_key(test, |(test, _)| *test)
                && let Some((_, to)) = edges.get(edge)
            {
                self.visit(*to, further, found);
            }
            rest = further;
        }
    }
}

impl Found {
    /// Takes what comes before what is known already.
    pub(in crate::slice) fn offer(&mut self, rule: Option<u32>, near: Option<Near>) {
        self.rule = earlier(self.rule, rule);
        let distance = |near: &Near| (near.missing, near.rule);
        self.near = self.near.into_iter().chain(near).min_by_key(distance);
    }
}

/// The earlier of two rules, if there is any.
pub(in crate::slice) fn earlier(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}
