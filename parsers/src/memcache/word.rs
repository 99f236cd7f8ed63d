//! The words that lines of either side are made of.

use super::MAX_KEY_BYTES;

/// The next word behind its space, and the rest *with* the space before it, so
/// that a space too many is never lost.
pub(super) fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    first_word(line.strip_prefix(b" ").unwrap_or(line))
}

/// The word that a line begins with, and the rest with its space.
pub(super) fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

/// A key is 1 to 250 bytes of UTF-8 without white space or control characters.
/// The server takes more; what some reader of it might split, we do not pass.
pub(super) fn check_key(key: &[u8]) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("a key is missing");
    }
    if key.len() > MAX_KEY_BYTES {
        return Err("a key of more than 250 bytes");
    }
    // Nearly every key. Without a way out in the middle the compiler looks at
    // many bytes at once.
    if key.iter().fold(true, |plain, byte| plain & byte.is_ascii_graphic()) {
        return Ok(());
    }
    let text = std::str::from_utf8(key).map_err(|_| "a key that is not UTF-8")?;
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("white space or a control character in a key");
    }
    Ok(())
}

/// A number written the one canonical way: no sign but a needed minus, no
/// leading zero.
pub(super) fn canonical<N>(word: &[u8]) -> Option<N>
where
    N: std::str::FromStr,
{
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let canonical = match digits {
        b"0" => word.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}
