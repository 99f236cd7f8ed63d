//! What `# expect:` comments ask for, and whether it came true.

use remora_parsers::{
    Direction,
    transcript::{Arrival, Transcript},
};

use crate::playback::{LogEntry, Played};

/// The expectations that did not come true, each with its line and what was
/// there instead. Where any `log` is expected, the log holds nothing else.
pub fn unmet(transcript: &Transcript, played: &Played) -> Vec<(usize, String)> {
    let mut log = played.log.iter();
    let mut unmet = Vec::new();
    let mut last_log_line = None;
    for (line, text) in &transcript.expectations {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let result = match word {
            "log" => {
                last_log_line = Some(*line);
                check_log(rest, log.next())
            }
            "to-server" => check_bytes(rest, &played.to_server),
            "to-client" => check_bytes(rest, &played.to_client),
            "open" | "closed" => check_closed(word, rest, played),
            _ => Err("an expectation is log, to-server, to-client, open or closed".to_owned()),
        };
        if let Err(why) = result {
            unmet.push((*line, format!("expected {text}: {why}")));
        }
    }
    if let (Some(line), Some(entry)) = (last_log_line, log.next()) {
        unmet.push((line, format!("one entry more in the log: {}", shown(entry))));
    }
    unmet
}

fn check_log(expected: &str, entry: Option<&LogEntry>) -> Result<(), String> {
    let entry = entry.ok_or("the log has no further entry")?;
    let shown = shown(entry);
    if shown == expected.trim() { Ok(()) } else { Err(format!("the log has {shown}")) }
}

/// `VERDICT name=value …`
fn shown(entry: &LogEntry) -> String {
    let fields = entry.fields.iter().map(|(name, values)| format!(" {name}={}", values.join(" ")));
    format!("{}{}", entry.verdict, fields.collect::<String>())
}

fn check_bytes(expected: &str, got: &[u8]) -> Result<(), String> {
    let matches = if expected.trim() == "\"\"" {
        got.is_empty()
    } else {
        // The string is written as an arrival's is.
        let line = Transcript::read(&format!("> {expected}")).map_err(|error| error.what)?;
        line.steps.iter().any(|step| {
            step.from == Direction::Request && step.arrival == Arrival::Data(got.to_vec())
        })
    };
    if matches { Ok(()) } else { Err(format!("it got \"{}\"", got.escape_ascii())) }
}

fn check_closed(word: &str, text: &str, played: &Played) -> Result<(), String> {
    match (word, &played.closed) {
        ("open", None) => Ok(()),
        ("open", Some((step, reason))) => Err(format!("closed at step {step}: {reason}")),
        (_, None) => Err("it is open".to_owned()),
        (_, Some((_, reason))) if reason.contains(text.trim()) => Ok(()),
        (_, Some((step, reason))) => Err(format!("closed at step {step}: {reason}")),
    }
}
