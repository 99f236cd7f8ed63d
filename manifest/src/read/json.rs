//! The one thing of JSON that YAML lacks: characters beyond U+FFFF as two escapes.

use std::borrow::Cow;

/// Writes each surrogate pair of a JSON text (`\ud83d\ude00`, RFC 8259 section 7) as the one
/// escape that YAML has for it (`\U0001f600`). Text that is not JSON is left alone: in YAML
/// the same characters may be no escape at all.
pub(super) fn join_surrogates(text: &str) -> Cow<'_, str> {
    let has_pairs = text.contains("\\ud") || text.contains("\\uD");
    if !has_pairs || serde_json::from_str::<serde_json::Value>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        joined.push_str(before);
        rest = match surrogate_pair(escape) {
            Some((character, after)) => {
                joined.push_str(&format!("\\U{:08x}", u32::from(character)));
                after
            }
            None => {
                // The backslash, and what it escapes: another backslash begins nothing.
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                let (kept, after) = escape.split_at(length);
                joined.push_str(kept);
                after
            }
        };
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

fn surrogate_pair(text: &str) -> Option<(char, &str)> {
    let (high, rest) = unit(text)?;
    let (low, rest) = unit(rest)?;
    let character = char::decode_utf16([high, low]).next()?.ok()?;
    (u32::from(character) > 0xffff).then_some((character, rest))
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.strip_prefix("\\u")?.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?.map(|unit| (unit, rest))
}
