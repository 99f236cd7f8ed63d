//! Scalars that no YAML reader takes for something else.

use std::fmt::Write as _;

/// Words that YAML 1.1 or 1.2 readers resolve to null, a boolean or a number (any case).
const RESERVED: [&str; 12] =
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity"];

/// A string on one line: plain where that is beyond doubt, else in double quotes.
pub(super) fn string(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// A float with a point and a signed exponent, without which YAML 1.1 reads a string.
pub(super) fn float(number: &serde_json::Number) -> String {
    let text = number.to_string();
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

/// The header and lines of a literal block, if the string is lines that survive as one.
pub(super) fn literal_lines(text: &str) -> Option<(&'static str, Vec<&str>)> {
    let is_printable = |c: char| c == '\n' || !needs_escape(c);
    let first = text.split('\n').next().unwrap_or_default();
    let starts_safely = !first.is_empty() && !first.starts_with([' ', '\t']);
    let trails = |line: &str| line.ends_with([' ', '\t']);
    if !text.contains('\n') || !starts_safely || !text.chars().all(is_printable) {
        return None;
    }
    let (header, body) = match text.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", text),
    };
    // Blank lines at the end, and blanks at a line's end, are what editors and tools strip.
    let lines: Vec<&str> = body.split('\n').collect();
    let is_sturdy = !body.ends_with('\n') && !lines.iter().any(|line| trails(line));
    is_sturdy.then_some((header, lines))
}

fn is_plain(text: &str) -> bool {
    let first_is_safe = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_./-:=+@, ()".contains(c);
    first_is_safe
        && text.chars().all(is_safe)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if needs_escape(c) => {
                let code = u32::from(c);
                // A String takes whatever is written to it.
                let _ = if code <= 0xffff {
                    write!(out, "\\u{code:04x}")
                } else {
                    write!(out, "\\U{code:08x}")
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Outside YAML 1.2's printable set (`c-printable`), or a line break to YAML 1.1 readers.
fn needs_escape(c: char) -> bool {
    !matches!(c,
        ' '..='~'
        | '\u{a0}'..='\u{d7ff}'
        | '\u{e000}'..='\u{fffd}'
        | '\u{10000}'..='\u{10ffff}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}
