//! Peers' bytes as JSON strings that cannot forge a line, a colour or a
//! reading direction.

use std::fmt::{self, Write as _};

/// Appends `bytes` as a JSON string, at most `cap` of them, and returns
/// whether that was all.
///
/// Control characters and those that change how text is laid out are written
/// `\uXXXX`; a byte that is not UTF-8 becomes the text `\xNN`.
pub(super) fn string(out: &mut String, bytes: &[u8], cap: usize) -> bool {
    let shown = bytes.get(..cap).unwrap_or(bytes);
    out.push('"');
    for chunk in shown.utf8_chunks() {
        chunk.valid().chars().for_each(|char| character(out, char));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\\\x{byte:02x}");
        }
    }
    out.push('"');
    shown.len() == bytes.len()
}

/// Appends what is displayed as such a string, at most `cap` bytes of it, and
/// returns whether that was all.
pub(super) fn display(out: &mut String, what: &dyn fmt::Display, cap: usize) -> bool {
    out.push('"');
    let mut inside = Inside { out, left: cap };
    let whole = write!(inside, "{what}").is_ok();
    out.push('"');
    whole
}

/// Takes text into a string that is open, up to so many bytes.
struct Inside<'a> {
    out: &'a mut String,
    left: usize,
}

impl fmt::Write for Inside<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.floor_char_boundary(self.left.min(text.len()));
        let shown = text.get(..taken).unwrap_or_default();
        shown.chars().for_each(|char| character(self.out, char));
        self.left = self.left.saturating_sub(taken);
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

fn character(out: &mut String, char: char) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if char.is_control() || is_layout(char) => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        _ => out.push(char),
    }
}

/// Line and paragraph separators, marks and overrides of direction, invisible
/// joiners and tags: what makes a terminal show other text than was sent.
fn is_layout(char: char) -> bool {
    matches!(
        char,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
