//! The report as one HTML file that needs nothing else.

use std::fmt::Write as _;

use super::{chart, svg};
use crate::results::{Participant, Results};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;\
padding:0 1em;color:#1c2733}h1,h2{line-height:1.2}table{border-collapse:collapse}\
td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}.missing{color:#a33}\
svg{width:100%;height:auto}small{color:#667}";

/// The whole page.
pub(super) fn page(results: &Results) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Remora: sidecar against node mode</title>\n<style>{STYLE}</style>\n\
         <h1>Sidecar against node mode, measured</h1>\n"
    );
    html += &machine(results);
    html += &partners(&results.partners);
    html += &failures(&results.failures);
    html += &figures(results);
    html += "</html>\n";
    html
}

fn machine(results: &Results) -> String {
    let extent = if results.quick {
        "A quick run: short windows and few rounds, for the ratios of the budget and for nothing else."
    } else {
        "Bars are medians over the rounds; the thin line spans the smallest and the largest."
    };
    format!(
        "<p>{extent}</p>\n<p><small>{}. The proxy has one core to itself, client and server share \
         another. CPU is the proxy's time on a core as the kernel counts it, its system calls \
         included.</small></p>\n",
        svg::escape(&results.machine.describe())
    )
}

fn partners(partners: &[Participant]) -> String {
    let mut html = "<h2>Who took part</h2>\n<table>\n".to_owned();
    for partner in partners {
        let what = match &partner.missing {
            Some(why) => format!("<span class=\"missing\">missing: {}</span>", svg::escape(why)),
            None => svg::escape(&partner.version),
        };
        // A string takes everything.
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{}<td>{}<td>{what}",
            svg::escape(&partner.name),
            svg::escape(&partner.title),
            partner.mode
        );
    }
    html + "</table>\n"
}

fn failures(failures: &[String]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let item = |failure: &String| format!("<li class=\"missing\">{}\n", svg::escape(failure));
    let items: String = failures.iter().map(item).collect();
    format!("<h2>What could not be measured</h2>\n<ul>{items}</ul>\n")
}

/// Figures of one part stand together, in the order in which they were taken.
fn figures(results: &Results) -> String {
    let part = |id: &str| id.split('.').next().unwrap_or_default().to_owned();
    let (mut html, mut current) = (String::new(), String::new());
    for figure in &results.figures {
        if part(&figure.id) != current {
            current = part(&figure.id);
            let _ = writeln!(html, "<h2>{}</h2>", svg::escape(&current));
        }
        html += &svg::stack(&[chart(results, figure)]);
    }
    html
}
