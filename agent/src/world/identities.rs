//! Numbers for sets of labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use remora_policy::Labels;

/// Below are Cilium's reserved identities, such as `world`.
pub(super) const FIRST: u32 = 256;

/// Which number stands for which set of labels. A number is never given again:
/// a slice may be older than the addresses beside it.
#[derive(Debug)]
pub(super) struct Identities {
    next: Option<u32>,
    numbers: BTreeMap<Arc<Labels>, u32>,
}

impl Default for Identities {
    fn default() -> Self {
        Self { next: Some(FIRST), numbers: BTreeMap::new() }
    }
}

impl Identities {
    /// Gives each of these sets a number and forgets all others.
    pub(super) fn assign<'a>(&mut self, sets: impl Iterator<Item = &'a Arc<Labels>>) {
        let mut numbers = BTreeMap::new();
        for labels in sets {
            if numbers.contains_key(labels) {
                continue;
            }
            // When the numbers have run out nobody new is recognised, hence allowed.
            let Some(number) = self.numbers.get(labels).copied().or_else(|| self.fresh()) else {
                continue;
            };
            numbers.insert(Arc::clone(labels), number);
        }
        self.numbers = numbers;
    }

    pub(super) fn number(&self, labels: &Labels) -> Option<u32> {
        self.numbers.get(labels).copied()
    }

    fn fresh(&mut self) -> Option<u32> {
        let number = self.next?;
        self.next = number.checked_add(1);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Arc<Labels> {
        Arc::new(Labels::parse(text).expect("labels"))
    }

    #[test]
    fn equal_labels_share_a_number_and_none_comes_back() {
        let (a, b, c) = (labels("a=1"), labels("b=1"), labels("c=1"));
        let mut identities = Identities::default();
        identities.assign([&a, &b, &a].into_iter());
        assert_eq!((identities.number(&a), identities.number(&b)), (Some(256), Some(257)));
        identities.assign([&b].into_iter());
        assert_eq!((identities.number(&a), identities.number(&b)), (None, Some(257)));
        identities.assign([&c, &a, &b].into_iter());
        assert_eq!(identities.number(&c), Some(258));
        assert_eq!(identities.number(&a), Some(259), "256 meant an older pod");
    }

    #[test]
    fn without_numbers_nobody_new_is_recognised() {
        let mut identities = Identities { next: Some(u32::MAX), numbers: BTreeMap::default() };
        identities.assign([&labels("a=1"), &labels("b=1")].into_iter());
        assert_eq!(identities.number(&labels("a=1")), Some(u32::MAX));
        assert_eq!(identities.number(&labels("b=1")), None);
    }
}
