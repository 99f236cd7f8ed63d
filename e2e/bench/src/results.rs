//! What was measured: samples by figure, partner and round, and what they say.

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::machine::Machine;

/// The partner without a proxy, to which the others are compared.
pub(crate) const DIRECT: &str = "direct";

/// Which of two values is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Less,
    More,
}

/// Something that is measured, of every partner in the same unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Figure {
    /// `PART.WHAT`, by which budgets name it.
    pub(crate) id: String,
    /// For people.
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

impl Figure {
    pub(crate) fn new(id: &str, title: &str, unit: &'static str, better: Better) -> Self {
        Self { id: id.to_owned(), title: title.to_owned(), unit, better }
    }
}

/// One value.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) figure: String,
    pub(crate) partner: String,
    /// From 0. Samples of one round were taken right after each other.
    pub(crate) round: usize,
    pub(crate) value: f64,
}

/// Who took part, or why not.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) mode: &'static str,
    pub(crate) version: String,
    /// Why it could not take part.
    pub(crate) missing: Option<String>,
}

/// Everything that a report is made of.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    pub(crate) partners: Vec<Participant>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) samples: Vec<Sample>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

impl Results {
    pub(crate) fn new(quick: bool, machine: Machine, partners: Vec<Participant>) -> Self {
        Self { quick, machine, partners, figures: vec![], samples: vec![], failures: vec![] }
    }

    pub(crate) fn record(&mut self, figure: &Figure, partner: &str, round: usize, value: f64) {
        if !self.figures.iter().any(|known| known.id == figure.id) {
            self.figures.push(figure.clone());
        }
        let (figure, partner) = (figure.id.clone(), partner.to_owned());
        self.samples.push(Sample { figure, partner, round, value });
    }

    pub(crate) fn value(&self, figure: &str, partner: &str, round: usize) -> Option<f64> {
        self.of(figure, partner).find(|sample| sample.round == round).map(|sample| sample.value)
    }

    /// The median over all rounds.
    pub(crate) fn median(&self, figure: &str, partner: &str) -> Option<f64> {
        median(self.of(figure, partner).map(|sample| sample.value).collect())
    }

    /// The smallest and the largest value of any round.
    pub(crate) fn range(&self, figure: &str, partner: &str) -> Option<(f64, f64)> {
        let values = || self.of(figure, partner).map(|sample| sample.value);
        Some((values().reduce(f64::min)?, values().reduce(f64::max)?))
    }

    /// The median of the ratios of both in the same round: what disturbed the
    /// machine then disturbed both.
    pub(crate) fn ratio(&self, figure: &str, of: &str, to: &str) -> Option<f64> {
        let ratio = |sample: &Sample| {
            let base = self.value(figure, to, sample.round)?;
            (base > 0.0).then_some(sample.value / base)
        };
        median(self.of(figure, of).filter_map(ratio).collect())
    }

    fn of(&self, figure: &str, partner: &str) -> impl Iterator<Item = &Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.figure == figure && sample.partner == partner)
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

/// The value that this share of all values does not exceed, by nearest rank.
/// `sorted` ascends.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
