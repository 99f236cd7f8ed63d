//! One direction of a slice: from a port to the rules that are about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Problem, Reason,
    draft::{Draft, Effect, L7Rule, Rule},
    index::at,
    peers::{ByPeer, L7Numbers, Numbered, Standing},
};

/// How many ranges may hold one port, its own among them: each is asked.
pub const MAX_RANGES_OF_A_PORT: usize = 64;

/// The rules of one direction.
#[derive(Debug)]
pub(super) struct Table {
    /// In ascending order.
    runs: Box<[Run]>,
    /// The entries: a port of its own, or a range.
    entries: Box<[ByPeer]>,
    rules: Box<[About]>,
    l7_allow: Box<[Option<Arc<str>>]>,
    l7_deny: Box<[Option<Arc<str>>]>,
}

/// Ports that the same entries are about, up to where the next run begins.
#[derive(Debug)]
struct Run {
    first: u16,
    entries: Box<[u32]>,
}

/// What is told of a rule.
#[derive(Debug)]
struct About {
    name: Option<Arc<str>>,
    /// It stands for an empty list of rules.
    unrestricted: bool,
}

impl Table {
    /// Compiles a direction.
    ///
    /// # Errors
    /// [`Problem::NestedRanges`].
    pub(super) fn new(draft: &Draft) -> Result<Self, Problem> {
        let mut numbering = Numbering::default();
        let mut spans: BTreeMap<(u16, u16), Vec<Numbered<'_>>> = BTreeMap::new();
        for (port, rules) in &draft.exact {
            spans.entry((*port, *port)).or_default().extend(numbering.number(rules));
        }
        for (range, rules) in &draft.ranges {
            let span = (*range.start(), *range.end());
            spans.entry(span).or_default().extend(numbering.number(rules));
        }
        let Numbering { rules, l7_allow, l7_deny } = numbering;
        Ok(Self {
            runs: runs(spans.keys().copied())?,
            entries: spans.values().map(|rules| ByPeer::new(rules)).collect(),
            rules: rules.into_iter().map(About::new).collect(),
            l7_allow: l7_allow.into_iter().map(|rule| rule.name.clone()).collect(),
            l7_deny: l7_deny.into_iter().map(|rule| rule.name.clone()).collect(),
        })
    }

    /// What the rules of a port say about a peer, entry by entry.
    pub(super) fn standings(
        &self,
        port: u16,
        peer: Option<u32>,
    ) -> impl Iterator<Item = &Standing> + Clone {
        self.entries_of(port)
            .iter()
            .filter_map(|entry| self.entries.get(at(*entry)))
            .map(move |entry| entry.standing(peer))
    }

    /// Whether some rule is about a port.
    pub(super) fn knows(&self, port: u16) -> bool {
        !self.entries_of(port).is_empty()
    }

    /// The path of a rule.
    pub(super) fn name(&self, rule: u32) -> Option<&Arc<str>> {
        self.rules.get(at(rule))?.name.as_ref()
    }

    /// Why a rule is open.
    pub(super) fn opening(&self, rule: u32) -> Reason {
        match self.rules.get(at(rule)) {
            Some(About { unrestricted: true, .. }) => Reason::Unrestricted,
            _ => Reason::PortAllowed,
        }
    }

    /// The path of an L7 rule that allows.
    pub(super) fn allowing(&self, rule: u32) -> Option<&Arc<str>> {
        self.l7_allow.get(at(rule))?.as_ref()
    }

    /// The path of an L7 rule that denies.
    pub(super) fn denying(&self, rule: u32) -> Option<&Arc<str>> {
        self.l7_deny.get(at(rule))?.as_ref()
    }

    fn entries_of(&self, port: u16) -> &[u32] {
        let after = self.runs.partition_point(|run| run.first <= port);
        let run = after.checked_sub(1).and_then(|run| self.runs.get(run));
        run.map_or(&[], |run| &run.entries)
    }
}

/// Numbers rules in the order in which they are looked at.
#[derive(Default)]
struct Numbering<'a> {
    rules: Vec<&'a Rule>,
    l7_allow: Vec<&'a L7Rule>,
    l7_deny: Vec<&'a L7Rule>,
}

impl<'a> Numbering<'a> {
    fn number(&mut self, rules: &'a [Rule]) -> impl Iterator<Item = Numbered<'a>> {
        rules.iter().map(|rule| {
            let next = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let l7 = L7Numbers { allow: next(self.l7_allow.len()), deny: next(self.l7_deny.len()) };
            let number = next(self.rules.len());
            self.rules.push(rule);
            if let Effect::Filter(filter) = &rule.effect {
                self.l7_allow.extend(&filter.allow);
                self.l7_deny.extend(&filter.deny);
            }
            (number, rule, l7)
        })
    }
}

impl About {
    fn new(rule: &Rule) -> Self {
        let unrestricted = matches!(rule.effect, Effect::Open(Reason::Unrestricted));
        Self { name: rule.name.clone(), unrestricted }
    }
}

/// Cuts the ports where spans, which are numbered in their order, begin and end.
fn runs(spans: impl Iterator<Item = (u16, u16)>) -> Result<Box<[Run]>, Problem> {
    let mut cuts: BTreeMap<u16, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    for (number, (first, last)) in (0..).zip(spans) {
        cuts.entry(first).or_default().0.push(number);
        if let Some(after) = last.checked_add(1) {
            cuts.entry(after).or_default().1.push(number);
        }
    }
    let mut runs = Vec::with_capacity(cuts.len());
    let mut open = BTreeSet::new();
    for (port, (begin, end)) in cuts {
        open.retain(|span| !end.contains(span));
        open.extend(begin);
        if open.len() > MAX_RANGES_OF_A_PORT {
            return Err(Problem::NestedRanges { port });
        }
        runs.push(Run { first: port, entries: open.iter().copied().collect() });
    }
    Ok(runs.into())
}
