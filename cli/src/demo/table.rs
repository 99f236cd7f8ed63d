//! The rows, for people and for tools.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::printable;
use super::stories::Story;

/// One promise, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) story: Story,
    pub(super) client: String,
    pub(super) request: String,
    pub(super) promise: String,
    pub(super) happened: String,
    /// The bytes that said no, if any did.
    pub(super) denial: Option<Vec<u8>>,
    pub(super) came_true: bool,
}

/// All rows, and the time they took.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) time: Duration,
}

/// Whether the reader's terminal shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Coloured,
}

const HEAD: [&str; 5] =
    ["client", "request", "the policy promises", "what happened", "bytes of the denial"];

impl Report {
    pub(super) fn came_true(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.came_true)
    }

    /// One object with all rows, and `cameTrue` for the whole.
    pub(super) fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        json!({ "cameTrue": self.came_true(), "seconds": self.time.as_secs_f64(), "rows": rows })
    }

    /// A table for each story, and a last line that says it all.
    pub(super) fn table(&self, style: Style) -> String {
        let mut out = String::new();
        for rows in self.rows.chunk_by(|one, next| one.story == next.story) {
            story_table(&mut out, rows, style);
        }
        let (kept, all) = (self.rows.iter().filter(|row| row.came_true).count(), self.rows.len());
        let verdict =
            format!("{kept} of {all} rows came true, in {:.1} s", self.time.as_secs_f64());
        let colour = if self.came_true() { "32" } else { "31" };
        let _ = writeln!(out, "{}", paint(style, colour, &verdict));
        if !self.came_true() {
            let _ = writeln!(
                out,
                "`remora demo --keep-logs` shows what the agent and the sidecars said."
            );
        }
        out
    }
}

fn story_table(out: &mut String, rows: &[Row], style: Style) {
    let Some(first) = rows.first() else { return };
    let cells: Vec<[String; 5]> = rows.iter().map(Row::cells).collect();
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let texts = cells.iter().map(|row| row[column].chars().count());
        texts.chain([HEAD[column].len()]).max().unwrap_or_default()
    });
    let _ = writeln!(out, "{}\n", paint(style, "1", first.story.title()));
    let _ = writeln!(out, "    {}", line(&HEAD.map(str::to_owned), &widths));
    let _ = writeln!(out, "    {}", line(&widths.map(|width| "─".repeat(width)), &widths));
    for (row, cells) in rows.iter().zip(&cells) {
        let mark =
            if row.came_true { paint(style, "32", "✓") } else { paint(style, "31", "✗") };
        let _ = writeln!(out, "  {mark} {}", line(cells, &widths));
    }
    out.push('\n');
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let denial = self.denial.as_deref().map(printable).unwrap_or_default();
        [&self.client, &self.request, &self.promise, &self.happened, &denial].map(Clone::clone)
    }

    fn to_json(&self) -> Value {
        json!({
            "story": self.story.name(),
            "client": self.client,
            "request": self.request,
            "promise": self.promise,
            "happened": self.happened,
            "denial": self.denial.as_deref().map(String::from_utf8_lossy),
            "cameTrue": self.came_true,
        })
    }
}

fn line(cells: &[String; 5], widths: &[usize; 5]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

fn paint(style: Style, code: &str, text: &str) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
    }
}
