//! The rules of some ports, by peer: peers that the same rules are about share
//! what comes of them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use remora_parsers::Protocol;

use super::{
    draft::{Effect, Peers, Rule},
    index::{Index, at, earlier},
};

/// A peer whose requests are judged by the filters of more groups of peers than
/// this gets an index of its own, so that one is asked and not all.
const MERGED_ABOVE: usize = 4;

/// How many L7 rules such indexes of one [`ByPeer`] may hold together: each
/// holds its rules once more. Peers beyond it ask group by group.
const MERGED_RULES: usize = 40_000;

/// Hashes identities, which the agent numbers: no peer chooses them, so that one
/// multiplication will do (by 2⁶⁴ divided by the golden ratio).
#[derive(Debug, Default)]
struct IdentityHasher(u64);

type Identities = BuildHasherDefault<IdentityHasher>;

impl Hasher for IdentityHasher {
    fn write_u32(&mut self, identity: u32) {
        self.0 = u64::from(identity).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Rules with their numbers. Theirs and those of their L7 rules ascend in the
/// order in which rules are looked at.
pub(super) type Numbered<'a> = (u32, &'a Rule, L7Numbers);

/// The numbers of a filter's first allowing and its first denying rule.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct L7Numbers {
    pub(super) allow: u32,
    pub(super) deny: u32,
}

/// What becomes of each peer.
#[derive(Debug)]
pub(super) struct ByPeer {
    /// Of peers whom no rule names.
    anybody: Standing,
    /// Peers that rules name, and which of the standings is theirs.
    peers: HashMap<u32, u32, Identities>,
    standings: Box<[Standing]>,
}

/// What the rules that are about a peer say.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// The first that denies it.
    pub(super) denied: Option<u32>,
    /// The first that lets it do what it likes.
    pub(super) open: Option<u32>,
    /// The protocols that its requests are judged in.
    pub(super) protocols: Vec<Seen>,
    /// Some rule may deny a request.
    pub(super) denies_requests: bool,
    /// All of its filters.
    pub(super) filters: Vec<Arc<Filters>>,
}

/// A protocol, and which rules are the first and the last to name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) protocol: &'static Protocol,
    pub(super) first: u32,
    pub(super) last: u32,
}

/// The L7 rules of some filters.
#[derive(Debug)]
pub(super) struct Filters {
    pub(super) allow: Index,
    /// Most have none.
    pub(super) deny: Option<Index>,
}

/// Rules about the very same peers.
#[derive(Default)]
struct Group<'a> {
    rules: Vec<Numbered<'a>>,
    standing: Standing,
}

impl ByPeer {
    /// Sorts rules, which come in order, by whom they are about.
    pub(super) fn new(rules: &[Numbered<'_>]) -> Self {
        let mut anybody = Group::default();
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut known: HashMap<&[u32], usize> = HashMap::new();
        for rule in rules {
            match &rule.1.peers {
                Peers::Any => anybody.rules.push(*rule),
                Peers::These(peers) => {
                    let place = *known.entry(peers).or_insert(groups.len());
                    if place == groups.len() {
                        groups.push(Group::default());
                    }
                    groups.get_mut(place).into_iter().for_each(|group| group.rules.push(*rule));
                }
            }
        }
        anybody.weigh();
        groups.iter_mut().for_each(Group::weigh);
        let named = known.into_iter().flat_map(|(peers, group)| {
            let group = u32::try_from(group).unwrap_or(u32::MAX);
            peers.iter().map(move |peer| (*peer, group))
        });
        let classes = Classes::new(named.collect());
        let standings = standings(&anybody, &groups, &classes.groups);
        Self { anybody: anybody.standing, peers: classes.peers, standings }
    }

    /// What the rules that are about a peer say.
    pub(super) fn standing(&self, peer: Option<u32>) -> &Standing {
        let class = peer.and_then(|peer| self.peers.get(&peer));
        class.and_then(|class| self.standings.get(at(*class))).unwrap_or(&self.anybody)
    }
}

/// Peers with the same groups are of one class.
struct Classes {
    /// Each peer and its class.
    peers: HashMap<u32, u32, Identities>,
    /// Each class's groups.
    groups: Vec<Vec<u32>>,
}

impl Classes {
    /// Sorts peers, each with a group of its own, into classes.
    fn new(mut named: Vec<(u32, u32)>) -> Self {
        named.sort_unstable();
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        let of_one_peer = named.chunk_by(|one, other| one.0 == other.0);
        let peers = of_one_peer.filter_map(|memberships| {
            let (peer, _) = memberships.first()?;
            let groups = memberships.iter().map(|(_, group)| *group).collect();
            let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
            Some((*peer, *known.entry(groups).or_insert(fresh)))
        });
        let mut peers: HashMap<_, _, _> = peers.collect();
        peers.shrink_to_fit();
        let mut groups: Vec<_> = known.into_iter().collect();
        groups.sort_unstable_by_key(|(_, class)| *class);
        Self { peers, groups: groups.into_iter().map(|(groups, _)| groups).collect() }
    }
}

fn standings(anybody: &Group<'_>, groups: &[Group<'_>], classes: &[Vec<u32>]) -> Box<[Standing]> {
    let mut standings = Vec::with_capacity(classes.len());
    let mut budget = MERGED_RULES;
    for class in classes {
        let own = class.iter().filter_map(|group| groups.get(at(*group)));
        let members: Vec<_> = [anybody].into_iter().chain(own).collect();
        let mut standing = Standing::default();
        members.iter().for_each(|group| standing.add(&group.standing));
        let cost = members.iter().map(|group| group.l7_rules()).sum();
        if standing.filters.len() > MERGED_ABOVE
            && let Some(left) = budget.checked_sub(cost)
        {
            budget = left;
            let mut rules: Vec<_> = members.iter().flat_map(|g| &g.rules).copied().collect();
            rules.sort_unstable_by_key(|(number, ..)| *number);
            standing.filters = vec![Arc::new(Filters::new(&rules))];
        }
        standings.push(standing);
    }
    standings.into()
}

impl Group<'_> {
    fn weigh(&mut self) {
        for (number, rule, _) in &self.rules {
            let standing = &mut self.standing;
            match &rule.effect {
                Effect::Deny => standing.denied = earlier(standing.denied, Some(*number)),
                Effect::Open(_) => standing.open = earlier(standing.open, Some(*number)),
                Effect::Filter(filter) => {
                    standing.denies_requests |= !filter.deny.is_empty();
                    let (first, last) = (*number, *number);
                    standing.see(Seen { protocol: filter.protocol, first, last });
                }
            }
        }
        if !self.standing.protocols.is_empty() {
            self.standing.filters = vec![Arc::new(Filters::new(&self.rules))];
        }
    }

    fn l7_rules(&self) -> usize {
        let filters = self.rules.iter().map(|(_, rule, _)| match &rule.effect {
            Effect::Filter(filter) => filter.allow.len().saturating_add(filter.deny.len()),
            Effect::Deny | Effect::Open(_) => 0,
        });
        filters.sum()
    }
}

impl Standing {
    /// Adds what further rules say of the same peer.
    fn add(&mut self, other: &Self) {
        self.denied = earlier(self.denied, other.denied);
        self.open = earlier(self.open, other.open);
        self.denies_requests |= other.denies_requests;
        self.filters.extend(other.filters.iter().cloned());
        other.protocols.iter().for_each(|seen| self.see(*seen));
    }

    fn see(&mut self, seen: Seen) {
        let name = seen.protocol.name;
        match self.protocols.iter_mut().find(|known| known.protocol.name == name) {
            Some(known) => {
                known.first = known.first.min(seen.first);
                known.last = known.last.max(seen.last);
            }
            None => self.protocols.push(seen),
        }
    }
}

impl Filters {
    fn new(rules: &[Numbered<'_>]) -> Self {
        let filters = || {
            rules.iter().filter_map(|(_, rule, numbers)| match &rule.effect {
                Effect::Filter(filter) => Some((filter, numbers)),
                Effect::Deny | Effect::Open(_) => None,
            })
        };
        let allow = filters().flat_map(|(filter, numbers)| (numbers.allow..).zip(&filter.allow));
        let deny = filters().flat_map(|(filter, numbers)| (numbers.deny..).zip(&filter.deny));
        let deny = Some(Index::new(deny)).filter(|index| !index.is_empty());
        Self { allow: Index::new(allow), deny }
    }
}
