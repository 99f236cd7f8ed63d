//! Keys in base64 (protocol.txt, meta flag `b`).

use super::super::MAX_KEY_BYTES;

/// Decodes the one canonical form of a key: standard alphabet, padded, no bit
/// set that is not the key's. The server takes other forms too, and reads the
/// same key from them.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    const MALFORMED: &str = "a key that is no canonical base64";
    if text.is_empty() || text.len() > MAX_KEY_BYTES || !text.len().is_multiple_of(4) {
        return Err(MALFORMED);
    }
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut key = Vec::with_capacity(text.len());
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits.wrapping_shl(6) | u32::from(value(*digit).ok_or(MALFORMED)?);
        }
        // What is missing of the last group is zero.
        let missing = 4usize.saturating_sub(group.len());
        for _ in 0..missing {
            bits = bits.wrapping_shl(6);
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (kept, spare) =
            bytes.split_at_checked(3usize.saturating_sub(missing)).ok_or(MALFORMED)?;
        if spare.iter().any(|byte| *byte != 0) {
            return Err(MALFORMED);
        }
        key.extend_from_slice(kept);
    }
    if key.is_empty() { Err(MALFORMED) } else { Ok(key) }
}

fn value(digit: u8) -> Option<u8> {
    let (base, first) = match digit {
        b'A'..=b'Z' => (0, b'A'),
        b'a'..=b'z' => (26, b'a'),
        b'0'..=b'9' => (52, b'0'),
        b'+' => return Some(62),
        b'/' => return Some(63),
        _ => return None,
    };
    digit.checked_sub(first)?.checked_add(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_keys_are_decoded() {
        for (text, key) in [
            ("YQ==", &b"a"[..]),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("IA==", b" "),
            ("AP8=", b"\0\xff"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text.as_bytes()), Ok(key.to_vec()), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "", "=", "==", "====", "YQ", "YQ=", "YQ===", "YR==", "YWJ=", "YQ==YQ==", "Y!==",
            "YW-_", "A===", "YWJjA===",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
        assert!(decode("A".repeat(248).as_bytes()).is_ok());
        assert!(decode("A".repeat(252).as_bytes()).is_err());
    }
}
