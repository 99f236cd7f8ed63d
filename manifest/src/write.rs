//! Values to YAML text that reads back as the same value, in any YAML reader.

mod scalar;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::scalar::{float, literal_lines, string};

/// YAML limits a key without `?` to 1024 characters (spec section 8.2.2).
const LONGEST_IMPLICIT_KEY: usize = 1000;

/// Writes a value as YAML in block style.
///
/// Strings are quoted whenever some YAML 1.1 or 1.2 reader might take them for something
/// else. Lists stand at the indentation of the key that they belong to, as kubectl prints them.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    node(&mut out, value, 0, Place::Document);
    out
}

/// What stands before a value on its line.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing: the line is the value's.
    Document,
    /// `- `, after which a list or map may begin on the same line.
    Item,
    /// `key:`.
    Entry,
}

/// Writes a value and the end of its line. `indent` is the column of the value's own lines.
fn node(out: &mut String, value: &Value, indent: usize, place: Place) {
    match value {
        Value::Array(items) if !items.is_empty() => list(out, items, indent, place),
        Value::Object(entries) if !entries.is_empty() => map(out, entries, indent, place),
        Value::String(text) => text_value(out, text, indent, place),
        _ => {
            separate(out, place);
            out.push_str(&inline(value));
            out.push('\n');
        }
    }
}

fn list(out: &mut String, items: &[Value], indent: usize, place: Place) {
    if place == Place::Entry {
        out.push('\n');
    }
    for (position, item) in items.iter().enumerate() {
        // The first item of a list inside a list stands on its parent's line.
        if position > 0 || place != Place::Item {
            pad(out, indent);
        }
        out.push_str("- ");
        node(out, item, indent + 2, Place::Item);
    }
}

fn map(out: &mut String, entries: &Map<String, Value>, indent: usize, place: Place) {
    if place == Place::Entry {
        out.push('\n');
    }
    for (position, (name, value)) in entries.iter().enumerate() {
        if position > 0 || place != Place::Item {
            pad(out, indent);
        }
        let name = string(name);
        if name.len() > LONGEST_IMPLICIT_KEY {
            out.push_str("? ");
            out.push_str(&name);
            out.push('\n');
            pad(out, indent);
        } else {
            out.push_str(&name);
        }
        out.push(':');
        let below = if value.is_array() { indent } else { indent + 2 };
        node(out, value, below, Place::Entry);
    }
}

fn text_value(out: &mut String, text: &str, indent: usize, place: Place) {
    separate(out, place);
    match literal_lines(text) {
        // A document's own lines would need an indentation that it has not.
        Some((header, lines)) if place != Place::Document => {
            out.push_str(header);
            out.push('\n');
            for line in lines {
                if !line.is_empty() {
                    pad(out, indent);
                    out.push_str(line);
                }
                out.push('\n');
            }
        }
        _ => {
            out.push_str(&string(text));
            out.push('\n');
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => float(number),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}

fn separate(out: &mut String, place: Place) {
    if place == Place::Entry {
        out.push(' ');
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}
