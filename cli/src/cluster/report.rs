//! What was looked at, and how it stands.

use serde_json::{Value, json};

/// Where the hints lead: a section of this page for each check.
const PAGE: &str = "docs/check.md";

/// How something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should.
    Good(String),
    /// Something to know: Remora works all the same.
    Warning(String),
    /// Something does not work.
    Bad(String),
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) category: &'static str,
    /// Its name, which is also its section in the docs.
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
}

impl Check {
    pub(super) fn new(
        category: &'static str,
        name: &'static str,
        outcome: Result<String, String>,
    ) -> Self {
        let outcome = outcome.map_or_else(Outcome::Bad, Outcome::Good);
        Self { category, name, outcome }
    }

    pub(super) fn warning(category: &'static str, name: &'static str, text: String) -> Self {
        Self { category, name, outcome: Outcome::Warning(text) }
    }

    fn hint(&self) -> Option<String> {
        let is_good = matches!(self.outcome, Outcome::Good(_));
        (!is_good).then(|| format!("{PAGE}#{}", self.name))
    }
}

/// Whether nothing is bad.
pub(super) fn is_good(checks: &[Check]) -> bool {
    !checks.iter().any(|check| matches!(check.outcome, Outcome::Bad(_)))
}

/// For people: by category, with a hint wherever something is not as it should be.
pub(super) fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    let mut category = "";
    for check in checks {
        if check.category != category {
            let gap = if category.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{}\n", check.category));
            category = check.category;
        }
        let (mark, said) = match &check.outcome {
            Outcome::Good(said) => ('√', said),
            Outcome::Warning(said) => ('‼', said),
            Outcome::Bad(said) => ('×', said),
        };
        text.push_str(&format!("  {mark} {}: {said}\n", check.name));
        text.extend(check.hint().map(|hint| format!("    see {hint}\n")));
    }
    let verdict = if is_good(checks) { "√ nothing is wrong" } else { "× something is wrong" };
    text.push_str(&format!("\n{verdict}\n"));
    text
}

/// For programs.
pub(super) fn json(checks: &[Check]) -> Value {
    let one = |check: &Check| {
        let (word, said) = match &check.outcome {
            Outcome::Good(said) => ("good", said),
            Outcome::Warning(said) => ("warning", said),
            Outcome::Bad(said) => ("bad", said),
        };
        json!({
            "category": check.category, "name": check.name, "outcome": word, "message": said,
            "hint": check.hint(),
        })
    };
    json!({"good": is_good(checks), "checks": checks.iter().map(one).collect::<Vec<_>>()})
}
