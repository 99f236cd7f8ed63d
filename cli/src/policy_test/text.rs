//! The same for people.

use std::{
    io::{self, Write},
    path::Path,
};

use remora_parsers::{Direction, Op, transcript::Transcript};

use super::expect::unmet;
use crate::playback::{LogEntry, Played};

/// Writes what became of a transcript, and whether that was expected.
pub(super) fn write(
    path: &Path,
    transcript: &Transcript,
    played: &Played,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", path.display())?;
    for (index, step) in played.steps.iter().enumerate() {
        let who = match step.from {
            Direction::Request => "client",
            Direction::Reply => "server",
        };
        let ops: Vec<_> = step.ops.iter().map(|(direction, op)| op_text(*direction, op)).collect();
        writeln!(out, "  {:>3}  {who} {:>6} bytes  {}", index + 1, step.bytes, ops.join(", "))?;
    }
    for entry in &played.log {
        writeln!(out, "  {}", log_text(entry))?;
    }
    match &played.closed {
        Some((0, reason)) => writeln!(out, "  reset before any byte: {reason}")?,
        Some((step, reason)) => writeln!(out, "  closed at step {step}: {reason}")?,
        None => writeln!(out, "  open")?,
    }
    let unmet = unmet(transcript, played);
    for (line, text) in &unmet {
        writeln!(out, "  NOT AS EXPECTED (line {line}): {text}")?;
    }
    if !transcript.expectations.is_empty() && unmet.is_empty() {
        writeln!(out, "  as expected")?;
    }
    Ok(())
}

/// Writes that the policy was refused.
pub(super) fn write_refused(path: &Path, error: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n  the policy is refused:", path.display())?;
    error.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

fn op_text(direction: Direction, op: &Op) -> String {
    match op {
        Op::Pass(n) => format!("PASS {n}"),
        Op::Drop(n) => format!("DROP {n}"),
        Op::More(n) => format!("MORE {n}"),
        Op::Inject { data, .. } => format!("INJECT {direction} \"{}\"", data.escape_ascii()),
        Op::Error(fault) => format!("ERROR {fault}"),
        Op::Nop => "NOP".to_owned(),
    }
}

fn log_text(entry: &LogEntry) -> String {
    let mut text = format!("{:<9}", entry.verdict);
    for (name, values) in &entry.fields {
        text += &format!(" {name}={}", values.join(" ").escape_debug());
    }
    let rule = entry.rule.as_deref().unwrap_or("no rule");
    format!("{text}  ({rule}: {})", entry.reason)
}
