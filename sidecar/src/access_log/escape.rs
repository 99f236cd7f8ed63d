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
    match str::from_utf8(shown) {
        Ok(valid) => text(out, valid),
        Err(_) => mixed(out, shown),
    }
    out.push('"');
    shown.len() == bytes.len()
}

/// Likewise a text of ours.
pub(super) fn string_of(out: &mut String, what: &str, cap: usize) {
    if what.len() > cap {
        string(out, what.as_bytes(), cap);
        return;
    }
    out.push('"');
    text(out, what);
    out.push('"');
}

/// Appends text with bytes in between that are none.
fn mixed(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text(out, chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\\\x{byte:02x}");
        }
    }
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
    fn write_str(&mut self, what: &str) -> fmt::Result {
        let taken = what.floor_char_boundary(self.left.min(what.len()));
        text(self.out, what.get(..taken).unwrap_or_default());
        self.left = self.left.saturating_sub(taken);
        if taken == what.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Appends a text, at one go where all of it stands in a string as it is.
fn text(out: &mut String, text: &str) {
    if is_plain(text.as_bytes()) {
        out.push_str(text);
    } else {
        text.chars().for_each(|char| character(out, char));
    }
}

/// Bytes that are looked at together.
const TOGETHER: usize = size_of::<u64>();

/// Whether each byte is a whole character and stands in a string as it is:
/// printable ASCII, but for the quote and the backslash.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    let mut last = [b' '; TOGETHER];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    words.iter().fold(odd(last), |before, word| before | odd(*word)) == 0
}

/// Not zero if one of the bytes is not plain: in a sum of all of them at once
/// its highest bit tells. What it lends or borrows is told of its neighbour
/// only beside it.
fn odd(bytes: [u8; TOGETHER]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x01; TOGETHER]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; TOGETHER]);
    let word = u64::from_ne_bytes(bytes);
    let is_zero = |word: u64| word.wrapping_sub(LOW) & !word;
    let same_as = |byte: u8| is_zero(word ^ u64::from_ne_bytes([byte; TOGETHER]));
    let control = word.wrapping_sub(LOW * u64::from(b' ')) & !word;
    let above = word | word.wrapping_add(LOW);
    (control | above | same_as(b'"') | same_as(b'\\')) & HIGH
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_plain_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let plain = (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
            for (length, beside) in [(1, b'a'), (8, b' '), (15, b'~'), (17, b'!'), (32, b'[')] {
                for place in 0..length {
                    let mut bytes = vec![beside; length];
                    bytes[place] = byte;
                    assert_eq!(is_plain(&bytes), plain, "{bytes:?}");
                }
            }
        }
        assert!(is_plain(b""));
    }
}
