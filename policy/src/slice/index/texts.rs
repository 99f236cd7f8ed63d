//! The texts that rules ask for, as whole values and as how values begin:
//! sorted, so that one search finds all that hold.

use std::{cmp::Ordering, collections::BTreeMap};

use super::at;

/// Stands for no place and for no test.
const NONE: u32 = u32::MAX;

/// Texts in order, end to end.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Box<[u8]>,
    entries: Box<[Entry]>,
    /// The tests that whole values satisfy, entry by entry.
    whole: Box<[u32]>,
}

#[derive(Debug)]
struct Entry {
    start: u32,
    length: u32,
    /// Where its part of `whole` ends.
    whole_end: u32,
    /// The entry of the longest shorter text that this one begins with.
    parent: u32,
    /// The test for values that begin so, and that for such without a line
    /// feed behind it.
    prefix: u32,
    line: u32,
}

/// The tests of one text, while texts are gathered.
#[derive(Debug, Default)]
pub(super) struct Tests {
    pub(super) whole: Vec<u32>,
    pub(super) prefix: Option<u32>,
    pub(super) line: Option<u32>,
}

/// Where a value stands among the texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// The greatest entry that is not greater than the value.
    entry: u32,
    /// How many bytes the two share.
    shared: usize,
    equal: bool,
}

impl Texts {
    pub(super) fn new(tests: BTreeMap<Box<[u8]>, Tests>) -> Self {
        let (mut bytes, mut whole) = (Vec::new(), Vec::new());
        let mut entries: Vec<Entry> = Vec::with_capacity(tests.len());
        // The texts that the one at hand may begin with, the longest last.
        let mut open: Vec<(u32, Box<[u8]>)> = Vec::new();
        for (text, tests) in tests {
            while open.last().is_some_and(|(_, shorter)| !text.starts_with(shorter)) {
                open.pop();
            }
            whole.extend(tests.whole);
            entries.push(Entry {
                start: place(bytes.len()),
                length: place(text.len()),
                whole_end: place(whole.len()),
                parent: open.last().map_or(NONE, |(entry, _)| *entry),
                prefix: tests.prefix.unwrap_or(NONE),
                line: tests.line.unwrap_or(NONE),
            });
            bytes.extend_from_slice(&text);
            open.push((place(entries.len().saturating_sub(1)), text));
        }
        Self { bytes: bytes.into(), entries: entries.into(), whole: whole.into() }
    }

    /// Looks for the only entry that can be the value, and that all others
    /// that the value begins with are how it begins.
    pub(super) fn find(&self, value: &[u8]) -> Option<Spot> {
        let after = self.entries.partition_point(|entry| self.text(entry).cmp(value).is_le());
        let before = after.checked_sub(1)?;
        let text = self.text(self.entries.get(before)?);
        let shared = shared(text, value);
        let equal = text.len() == shared && value.len() == shared;
        Some(Spot { entry: place(before), shared, equal })
    }

    /// The tests that the value satisfies as a whole, in ascending order.
    pub(super) fn whole(&self, spot: Option<Spot>) -> &[u32] {
        let Some(Spot { entry, equal: true, .. }) = spot else { return &[] };
        let end = |entry: u32| self.entries.get(at(entry)).map_or(0, |entry| at(entry.whole_end));
        let start = entry.checked_sub(1).map_or(0, end);
        self.whole.get(start..end(entry)).unwrap_or_default()
    }

    /// Adds the tests that the value satisfies by how it begins. `line` is
    /// where its last line begins.
    pub(super) fn prefixes(&self, spot: Option<Spot>, line: usize, out: &mut Vec<u32>) {
        let Some(Spot { entry, shared, .. }) = spot else { return };
        let mut next = entry;
        while let Some(entry) = self.entries.get(at(next)) {
            let length = at(entry.length);
            if length <= shared {
                out.extend(Some(entry.prefix).filter(|test| *test != NONE));
                out.extend(Some(entry.line).filter(|test| *test != NONE && line <= length));
            }
            next = entry.parent;
        }
    }

    fn text(&self, entry: &Entry) -> &[u8] {
        let rest = self.bytes.get(at(entry.start)..).unwrap_or_default();
        rest.get(..at(entry.length)).unwrap_or_default()
    }
}

/// With how many equal bytes two texts begin.
pub(super) fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one.cmp(other) == Ordering::Equal).count()
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}
