//! The JSON that tools build on: one object per transcript, on one line.

use std::{
    io::{self, Write},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use remora_parsers::{Direction, Op};
use serde_json::{Map, Value, json};

use crate::playback::{LogEntry, Played, PlayedStep};

/// Writes what became of a transcript.
pub(super) fn write(path: &Path, played: &Played, out: &mut dyn Write) -> io::Result<()> {
    let closed = played.closed.as_ref();
    let object = json!({
        "transcript": path.display().to_string(),
        "steps": played.steps.iter().map(step).collect::<Vec<_>>(),
        "to_server": BASE64_STANDARD.encode(&played.to_server),
        "to_client": BASE64_STANDARD.encode(&played.to_client),
        "closed": closed.map(|(step, reason)| json!({"step": step, "reason": reason})),
        "log": played.log.iter().map(log_entry).collect::<Vec<_>>(),
    });
    writeln!(out, "{object}")
}

/// Writes that the policy was refused.
pub(super) fn write_refused(path: &Path, error: &str, out: &mut dyn Write) -> io::Result<()> {
    let transcript = path.display().to_string();
    let object = json!({"transcript": transcript, "policy": "refused", "error": error});
    writeln!(out, "{object}")
}

fn step(step: &PlayedStep) -> Value {
    json!({
        "from": match step.from {
            Direction::Request => "client",
            Direction::Reply => "server",
        },
        "bytes": step.bytes,
        "ops": step.ops.iter().map(|(direction, op)| op_object(*direction, op)).collect::<Vec<_>>(),
        "to_server": step.to_server,
        "to_client": step.to_client,
    })
}

fn op_object(direction: Direction, op: &Op) -> Value {
    let dir = direction.to_string();
    match op {
        Op::Pass(n) => json!({"dir": dir, "op": "PASS", "n": n}),
        Op::Drop(n) => json!({"dir": dir, "op": "DROP", "n": n}),
        Op::More(n) => json!({"dir": dir, "op": "MORE", "n": n}),
        Op::Inject { data, .. } => json!({
            "dir": dir, "op": "INJECT", "n": data.len(), "data": BASE64_STANDARD.encode(data),
        }),
        Op::Error(_) => json!({"dir": dir, "op": "ERROR"}),
        Op::Nop => json!({"dir": dir, "op": "NOP"}),
    }
}

fn log_entry(entry: &LogEntry) -> Value {
    let fields: Map<_, _> = entry
        .fields
        .iter()
        .map(|(name, values)| ((*name).to_owned(), field_value(values)))
        .collect();
    json!({
        "verdict": entry.verdict,
        "l7proto": entry.l7proto,
        "fields": fields,
        "rule": entry.rule,
        "reason": entry.reason,
    })
}

/// A field with several values is a list, as in the sidecar's access log.
fn field_value(values: &[String]) -> Value {
    match values {
        [one] => json!(one),
        several => json!(several),
    }
}
