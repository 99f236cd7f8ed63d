//! What a family's tables have of ours, read back from the kernel.

use crate::rules::{INBOUND, OUTBOUND, restorable};

/// The tables that we use: one redirects, the other guards what gets past it.
pub(crate) const TABLES: [&str; 2] = ["nat", "mangle"];

/// Where a chain of ours hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) table: &'static str,
    /// The built-in chain that jumps to ours, first of all.
    pub(crate) hook: &'static str,
    pub(crate) chain: &'static str,
}

/// All of them.
pub(crate) const PLACES: [Place; 4] = [
    Place { table: "nat", hook: "PREROUTING", chain: INBOUND },
    Place { table: "nat", hook: "OUTPUT", chain: OUTBOUND },
    Place { table: "mangle", hook: "PREROUTING", chain: INBOUND },
    Place { table: "mangle", hook: "OUTPUT", chain: OUTBOUND },
];

/// What a family's tables have of ours, place by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State([Found; PLACES.len()]);

/// What is at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Our chain's rules in order, if the chain exists.
    pub(crate) chain: Option<Vec<String>>,
    /// Every rule of the hook that jumps to our chain, without `-A HOOK`.
    jumps: Vec<String>,
    /// Whether the first of them is the hook's first rule.
    is_first: bool,
}

impl State {
    /// Reads the outputs of `iptables -S` for `nat` and for `mangle`.
    pub fn parse(nat: &str, mangle: &str) -> Self {
        Self(PLACES.map(|place| match place.table {
            "nat" => Found::parse(&place, nat),
            _ => Found::parse(&place, mangle),
        }))
    }

    /// Whether there is nothing of ours.
    pub fn is_clean(&self) -> bool {
        self.0.iter().all(Found::is_clean)
    }

    /// Whether an earlier run has redirected anything.
    pub fn has_a_chain(&self) -> bool {
        self.0.iter().any(|found| found.chain.is_some())
    }

    /// What takes everything of ours out of tables in this state, as input of
    /// `iptables-restore --noflush`; none if there is nothing. The guard goes first: it
    /// would cut connections that nobody marks any more.
    pub fn cleanup(&self) -> Option<String> {
        if self.is_clean() {
            return None;
        }
        let mut text = String::new();
        for table in TABLES.into_iter().rev() {
            let mut lines = Vec::new();
            for (place, found) in self.of_table(table) {
                lines.extend(found.deletions(place));
                if found.chain.is_some() {
                    lines.extend([format!("-F {}", place.chain), format!("-X {}", place.chain)]);
                }
            }
            if !lines.is_empty() {
                text += &restorable(table, &lines);
            }
        }
        Some(text)
    }

    /// In the order of [`PLACES`].
    pub(crate) fn found(&self) -> &[Found] {
        &self.0
    }

    pub(crate) fn of_table(&self, table: &str) -> impl Iterator<Item = (&'static Place, &Found)> {
        PLACES.iter().zip(&self.0).filter(move |(place, _)| place.table == table)
    }
}

impl Place {
    /// The one jump to our chain, without `-A HOOK`.
    pub(crate) fn jump(&self) -> String {
        format!("-p tcp -j {}", self.chain)
    }
}

impl Found {
    fn parse(place: &Place, listing: &str) -> Self {
        let Place { hook, chain, .. } = place;
        let mut found = Self::default();
        let mut is_first_rule = true;
        for line in listing.lines().map(str::trim_end) {
            if line == format!("-N {chain}") {
                found.chain.get_or_insert_default();
            } else if line.starts_with(&format!("-A {chain} ")) {
                found.chain.get_or_insert_default().push(line.to_owned());
            } else if let Some(rule) = line.strip_prefix(&format!("-A {hook} ")) {
                if rule.split(' ').any(|word| word == *chain) {
                    found.is_first |= is_first_rule && found.jumps.is_empty();
                    found.jumps.push(rule.to_owned());
                }
                is_first_rule = false;
            }
        }
        found
    }

    fn is_clean(&self) -> bool {
        self.chain.is_none() && self.jumps.is_empty()
    }

    pub(crate) fn has_the_jump(&self, place: &Place) -> bool {
        self.is_first && self.jumps == [place.jump()]
    }

    pub(crate) fn deletions(&self, place: &Place) -> Vec<String> {
        self.jumps.iter().map(|jump| format!("-D {} {jump}", place.hook)).collect()
    }
}
