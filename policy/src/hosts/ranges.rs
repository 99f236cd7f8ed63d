//! Prefixes of one family, cut into ranges that do not overlap: the longest
//! prefix that holds an address is found by one search, however many prefixes
//! there are and however they nest.

use super::{Holder, UNKNOWN};

/// Addresses as numbers.
pub(super) trait Bits: Copy + Ord + Default {
    /// The address behind the prefix that begins here, if there is one.
    fn after(self, length: u8) -> Option<Self>;
}

impl Bits for u32 {
    fn after(self, length: u8) -> Option<Self> {
        let size = Self::BITS.checked_sub(length.into()).and_then(|free| 1_u32.checked_shl(free));
        size.and_then(|size| self.checked_add(size))
    }
}

impl Bits for u128 {
    fn after(self, length: u8) -> Option<Self> {
        let size = Self::BITS.checked_sub(length.into()).and_then(|free| 1_u128.checked_shl(free));
        size.and_then(|size| self.checked_add(size))
    }
}

/// One claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix<B> {
    /// Its first address; the bits beyond its length are zero.
    pub(super) first: B,
    pub(super) length: u8,
    pub(super) identity: u32,
}

/// Where each range begins, ascending, and who holds it up to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges<B> {
    firsts: Box<[B]>,
    holders: Box<[Holder]>,
}

impl<B: Bits> Ranges<B> {
    pub(super) fn new(mut prefixes: Vec<Prefix<B>>) -> Self {
        // A prefix comes before those that it holds.
        prefixes.sort_unstable_by_key(|prefix| (prefix.first, prefix.length, prefix.identity));
        let mut ranges = Building::default();
        for claims in prefixes.chunk_by(|a, b| (a.first, a.length) == (b.first, b.length)) {
            let Some(Prefix { first, length, identity }) = claims.first().copied() else {
                continue;
            };
            let agreed = claims.iter().all(|claim| claim.identity == identity);
            let holder = match agreed && identity != UNKNOWN {
                true => Holder::Identity(identity),
                false => Holder::Unknown,
            };
            ranges.close(Some(first));
            ranges.begin(first, holder);
            ranges.open.push((first.after(length), holder));
        }
        ranges.close(None);
        Self { firsts: ranges.firsts.into(), holders: ranges.holders.into() }
    }

    /// Who holds an address.
    pub(super) fn holder(&self, address: B) -> Holder {
        let after = self.firsts.partition_point(|first| *first <= address);
        let range = after.checked_sub(1).and_then(|range| self.holders.get(range));
        range.copied().unwrap_or(Holder::Nobody)
    }
}

struct Building<B> {
    firsts: Vec<B>,
    holders: Vec<Holder>,
    /// The prefixes around the place that has been reached, the longest last:
    /// where they are over, and whose they are.
    open: Vec<(Option<B>, Holder)>,
}

impl<B> Default for Building<B> {
    fn default() -> Self {
        Self { firsts: Vec::new(), holders: Vec::new(), open: Vec::new() }
    }
}

impl<B: Bits> Building<B> {
    /// Goes back to the shorter prefixes as the longer ones end, up to `until`.
    fn close(&mut self, until: Option<B>) {
        while let Some((end, _)) = self.open.last().copied() {
            // One without an end ends with the addresses.
            if until.is_some_and(|until| end.is_none_or(|end| end > until)) {
                return;
            }
            self.open.pop();
            let around = self.open.last().map_or(Holder::Nobody, |(_, holder)| *holder);
            if let Some(end) = end {
                self.begin(end, around);
            }
        }
    }

    /// A range begins; one that began at the same place was empty.
    fn begin(&mut self, first: B, holder: Holder) {
        if self.firsts.last() == Some(&first) {
            self.firsts.pop();
            self.holders.pop();
        }
        if self.holders.last() != Some(&holder) {
            self.firsts.push(first);
            self.holders.push(holder);
        }
    }
}
