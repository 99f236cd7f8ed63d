//! The tables of the page in `docs/`, between two markers.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{OVERVIEW, number, participants, ratio};
use crate::results::{Figure, Results};

const BEGIN: &str = "<!-- measured: what `cargo xtask bench --docs` writes -->\n";
const END: &str = "<!-- measured: end -->";

/// The page with new tables.
pub(super) fn fill(page: &str, results: &Results) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("there is no marker where tables begin")?;
    let (_, after) = rest.split_once(END).context("there is no marker where tables end")?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", tables(results)))
}

fn tables(results: &Results) -> String {
    let mut text = format!(
        "![What proxies cost]({OVERVIEW})\n\n{}{}.\n\n",
        results.machine.describe(),
        if results.quick { "; a quick run" } else { "" }
    );
    for (heading, wanted) in TABLES {
        let figures: Vec<_> = results.figures.iter().filter(|figure| wanted(&figure.id)).collect();
        if !figures.is_empty() {
            let _ = write!(text, "### {heading}\n\n{}\n", table(results, &figures));
        }
    }
    text + &absent(results)
}

/// A heading, and which figures stand below it.
type Table = (&'static str, fn(&str) -> bool);

const TABLES: [Table; 4] = [
    ("CPU and speed", |id| [".rate", ".cpu"].iter().any(|what| id.ends_with(what)) && is_load(id)),
    ("Latency", |id| !id.ends_with(".rate") && !id.ends_with(".cpu") && is_load(id)),
    ("Footprint", |id| id.starts_with("footprint.")),
    ("Many pods", |id| id.starts_with("fleet-") || id.starts_with("propagation-")),
];

fn is_load(id: &str) -> bool {
    !["footprint.", "fleet-", "propagation-"].iter().any(|part| id.starts_with(part))
}

/// A row for each figure, a column for each partner of whom any has a value.
fn table(results: &Results, figures: &[&Figure]) -> String {
    let has_any =
        |name: &str| figures.iter().any(|figure| results.median(&figure.id, name).is_some());
    let partners: Vec<_> = participants(results)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| has_any(name))
        .collect();
    let mut text =
        format!("| | {} |\n|---|{}\n", partners.join(" | "), "---:|".repeat(partners.len()));
    for figure in figures {
        let cell = |name: &&str| match results.median(&figure.id, name) {
            Some(value) => {
                let ratio = ratio(results, figure, name).map(|ratio| format!(" ({ratio})"));
                number(value) + &ratio.unwrap_or_default()
            }
            None => "–".to_owned(),
        };
        let cells: Vec<_> = partners.iter().map(cell).collect();
        let _ = writeln!(text, "| {}, {} | {} |", figure.title, figure.unit, cells.join(" | "));
    }
    text
}

fn absent(results: &Results) -> String {
    let missing = results.partners.iter().filter_map(|partner| {
        let why = partner.missing.as_ref()?;
        Some(format!("- {} took no part: {why}\n", partner.title))
    });
    let failed = results.failures.iter().map(|failure| {
        let line = failure.lines().next().unwrap_or_default();
        format!("- not measured: {line}\n")
    });
    missing.chain(failed).collect()
}
