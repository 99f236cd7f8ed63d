//! The committed budget: ratios that must hold on any machine, because both
//! sides of each were measured on the same one, in the same round.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::results::Results;

/// All limits, and why they are what they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// Read by people only.
    #[serde(rename = "about")]
    _about: String,
    limits: Vec<Limit>,
}

/// One limit: the ratio of a figure of two partners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    figure: String,
    of: String,
    to: String,
    at_most: Option<f64>,
    at_least: Option<f64>,
}

/// What became of a limit.
#[derive(Debug)]
pub(crate) struct Verdict {
    limit: Limit,
    /// Absent if it could not be measured.
    ratio: Option<f64>,
    pub(crate) is_kept: bool,
}

impl Budget {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let budget: Self =
            serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        for limit in &budget.limits {
            ensure!(
                limit.at_most.is_some() != limit.at_least.is_some(),
                "{}: {} needs either at_most or at_least",
                file.display(),
                limit.figure
            );
        }
        Ok(budget)
    }

    /// Holds results to the limits on parts that were asked for. What was to be
    /// measured and was not breaks its limit: silence is no success.
    pub(crate) fn check(&self, results: &Results, wants: impl Fn(&str) -> bool) -> Vec<Verdict> {
        let part = |limit: &Limit| limit.figure.split('.').next().is_some_and(&wants);
        self.limits.iter().filter(|limit| part(limit)).map(|limit| limit.check(results)).collect()
    }
}

impl Limit {
    fn check(&self, results: &Results) -> Verdict {
        let ratio = results.ratio(&self.figure, &self.of, &self.to);
        let is_kept = ratio.is_some_and(|ratio| {
            self.at_most.is_none_or(|most| ratio <= most)
                && self.at_least.is_none_or(|least| ratio >= least)
        });
        Verdict { limit: self.clone(), ratio, is_kept }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { figure, of, to, at_most, at_least } = &self.limit;
        f.write_str(if self.is_kept { "budget kept:   " } else { "budget BROKEN: " })?;
        write!(f, "{figure} of {of} is ")?;
        match self.ratio {
            Some(ratio) => write!(f, "{ratio:.2} of {to}'s")?,
            None => write!(f, "not measured beside {to}'s")?,
        }
        match (at_most, at_least) {
            (Some(most), _) => write!(f, ", at most {most:.2}"),
            (None, Some(least)) => write!(f, ", at least {least:.2}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::Machine,
        results::{Better, Figure},
    };

    fn results() -> Results {
        let mut results = Results::new(true, Machine::look().expect("a machine"), vec![]);
        let figure = Figure::new("get.cpu", "get", "µs", Better::Less);
        results.record(&figure, "a", 0, 15.0);
        results.record(&figure, "b", 0, 10.0);
        results
    }

    fn check(limit: &str, wants: bool) -> Vec<(bool, String)> {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("budget.json");
        fs::write(&file, format!(r#"{{"about": "", "limits": [{limit}]}}"#)).expect("written");
        let verdicts = Budget::read(&file).expect("a budget").check(&results(), |_| wants);
        verdicts.iter().map(|verdict| (verdict.is_kept, verdict.to_string())).collect()
    }

    #[test]
    fn a_ratio_is_held_to_its_limit() {
        let limits = [("at_most", 1.5, true), ("at_most", 1.4, false), ("at_least", 1.5, true)];
        for (kind, limit, is_kept) in limits {
            let text =
                format!(r#"{{"figure": "get.cpu", "of": "a", "to": "b", "{kind}": {limit}}}"#);
            let verdicts = check(&text, true);
            assert_eq!(verdicts.len(), 1);
            assert_eq!(verdicts[0].0, is_kept, "{}", verdicts[0].1);
            assert!(verdicts[0].1.contains("1.50 of b's"), "{}", verdicts[0].1);
        }
    }

    #[test]
    fn what_was_not_measured_is_broken_unless_nobody_asked() {
        let text = r#"{"figure": "get.cpu", "of": "a", "to": "nobody", "at_most": 9}"#;
        assert!(!check(text, true)[0].0);
        assert!(check(text, false).is_empty());
    }

    #[test]
    fn a_limit_that_limits_nothing_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("budget.json");
        for limit in [
            r#"{"figure": "x", "of": "a", "to": "b"}"#,
            r#"{"figure": "x", "of": "a", "to": "b", "atmost": 1}"#,
        ] {
            fs::write(&file, format!(r#"{{"about": "", "limits": [{limit}]}}"#)).expect("written");
            Budget::read(&file).expect_err(limit);
        }
    }

    #[test]
    fn the_committed_budget_can_be_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.json");
        assert!(!Budget::read(&file).expect("a budget").limits.is_empty());
    }
}
