//! The report: JSON for programs, one HTML file and a figure for people, and
//! tables for the page in `docs/`.

mod html;
mod markdown;
mod svg;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    args::Options,
    results::{DIRECT, Figure, Results},
    run::say,
};
use svg::{Bar, Chart};

/// The figure's name, beside the report and beside the page.
const OVERVIEW: &str = "sidecar-vs-node.svg";

/// What the overview shows, as far as it was measured.
const OVERVIEW_FIGURES: [&str; 5] =
    ["get.cpu", "get.rate", "at-2000.added-p50", "footprint.idle", "footprint.connection"];

/// Writes everything that was asked for.
pub(crate) fn write(results: &Results, options: &Options) -> Result<()> {
    fs::create_dir_all(&options.out)
        .with_context(|| format!("making {}", options.out.display()))?;
    let json = serde_json::to_string_pretty(results)?;
    put(&options.out.join("results.json"), &json)?;
    put(&options.out.join("report.html"), &html::page(results))?;
    put(&options.out.join(OVERVIEW), &overview(results))?;
    if let Some(page) = &options.docs {
        let text =
            fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))?;
        let filled = markdown::fill(&text, results)
            .with_context(|| format!("filling {}", page.display()))?;
        put(page, &filled)?;
        put(&page.with_file_name(OVERVIEW), &overview(results))?;
    }
    Ok(())
}

fn put(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    say(&format!("wrote {}", file.display()));
    Ok(())
}

fn overview(results: &Results) -> String {
    let figures = OVERVIEW_FIGURES
        .iter()
        .filter_map(|id| results.figures.iter().find(|figure| figure.id == **id));
    svg::stack(&figures.map(|figure| chart(results, figure)).collect::<Vec<_>>())
}

/// A bar for each partner of whom there is a value.
fn chart(results: &Results, figure: &Figure) -> Chart {
    let partners = participants(results);
    let bar = |(name, title): (&str, &str)| {
        let value = results.median(&figure.id, name)?;
        let (low, high) = results.range(&figure.id, name)?;
        let ratio = ratio(results, figure, name).map(|ratio| format!(" ({ratio} of direct)"));
        Some(Bar {
            label: title.to_owned(),
            value,
            low,
            high,
            text: with_unit(value, figure.unit) + &ratio.unwrap_or_default(),
            is_ours: name.starts_with("remora"),
        })
    };
    Chart {
        title: format!("{}, {}", figure.title, figure.unit),
        note: match figure.better {
            crate::results::Better::Less => "less is better",
            crate::results::Better::More => "more is better",
        },
        bars: partners.into_iter().filter_map(bar).collect(),
    }
}

/// Names and titles of all who have a value, in the order of the report.
fn participants(results: &Results) -> Vec<(&str, &str)> {
    let mut names: Vec<_> = results
        .partners
        .iter()
        .map(|partner| (partner.name.as_str(), partner.title.as_str()))
        .collect();
    for sample in &results.samples {
        if !names.iter().any(|(name, _)| *name == sample.partner) {
            names.push((&sample.partner, &sample.partner));
        }
    }
    names
}

/// The ratio to the direct connection, where that has a value too.
fn ratio(results: &Results, figure: &Figure, partner: &str) -> Option<String> {
    let ratio = results.ratio(&figure.id, partner, DIRECT)?;
    (partner != DIRECT).then(|| format!("{ratio:.2}"))
}

/// `12.3 µs`, `1,234/s`
fn with_unit(value: f64, unit: &str) -> String {
    let space = if unit.starts_with('/') { "" } else { " " };
    format!("{}{space}{unit}", number(value))
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => thousands(&format!("{value:.0}")),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}
