//! Lines that end in CRLF, found without looking at a byte twice.

/// What a [`LineScanner`] sees at the head of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A whole line: its text without the CRLF, and its length with it.
    Whole {
        /// The text; no control character stands in it.
        text: &'a [u8],
        /// Bytes up to and including the LF.
        length: u64,
    },
    /// The line's end is not there yet.
    Partial,
    /// A line that has no canonical form, and why.
    Malformed(&'static str),
}

/// Remembers how far the line at the head of one direction has been looked at.
#[derive(Debug, Default)]
pub(crate) struct LineScanner {
    looked: usize,
}

impl LineScanner {
    /// Looks for the line's end in `data`, which starts where the line does.
    /// A line of more than `cap` bytes, CRLF included, is malformed; so is a
    /// bare CR or LF and any other control character.
    pub(crate) fn scan<'a>(&mut self, data: &'a [u8], cap: usize) -> Line<'a> {
        let fresh = data.get(self.looked..).unwrap_or_default();
        let Some(found) = fresh.iter().position(u8::is_ascii_control) else {
            self.looked = data.len();
            // At least the CRLF is still to come.
            return Self::partial(data.len().saturating_add(2), cap);
        };
        let end = self.looked.saturating_add(found);
        let (text, rest) = data.split_at_checked(end).unwrap_or((data, &[]));
        match rest {
            [b'\r', b'\n', ..] => {
                let length = end.saturating_add(2);
                self.looked = 0;
                if length > cap {
                    return Line::Malformed("line too long");
                }
                Line::Whole { text, length: u64::try_from(length).unwrap_or(u64::MAX) }
            }
            [b'\r'] => {
                self.looked = end;
                Self::partial(end.saturating_add(2), cap)
            }
            [b'\r', ..] => Line::Malformed("CR without LF"),
            [b'\n', ..] => Line::Malformed("LF without CR"),
            _ => Line::Malformed("control character in a line"),
        }
    }

    /// Looks for a line that ends in LF or CRLF, and holds what it likes: some
    /// of the server's own lines are such.
    pub(crate) fn scan_loose<'a>(&mut self, data: &'a [u8], cap: usize) -> Line<'a> {
        let fresh = data.get(self.looked..).unwrap_or_default();
        let Some(found) = fresh.iter().position(|byte| *byte == b'\n') else {
            self.looked = data.len();
            return Self::partial(data.len().saturating_add(1), cap);
        };
        let end = self.looked.saturating_add(found);
        let length = end.saturating_add(1);
        self.looked = 0;
        if length > cap {
            return Line::Malformed("line too long");
        }
        let text = data.get(..end).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Line::Whole { text, length: u64::try_from(length).unwrap_or(u64::MAX) }
    }

    fn partial<'a>(least: usize, cap: usize) -> Line<'a> {
        if least > cap { Line::Malformed("line too long") } else { Line::Partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(data: &[u8], cap: usize) -> Line<'_> {
        LineScanner::default().scan(data, cap)
    }

    #[test]
    fn lines_end_in_crlf_and_nothing_else() {
        assert_eq!(whole(b"a b\r\nrest", 9), Line::Whole { text: b"a b", length: 5 });
        assert_eq!(whole(b"\r\n", 9), Line::Whole { text: b"", length: 2 });
        assert_eq!(whole(b"a", 9), Line::Partial);
        assert_eq!(whole(b"a\r", 9), Line::Partial);
        assert_eq!(whole(b"a\n", 9), Line::Malformed("LF without CR"));
        assert_eq!(whole(b"a\rb", 9), Line::Malformed("CR without LF"));
        assert_eq!(whole(b"a\r\r\n", 9), Line::Malformed("CR without LF"));
        for byte in [0, b'\t', 0x0b, 0x7f] {
            let line = [b'a', byte];
            assert_eq!(whole(&line, 9), Line::Malformed("control character in a line"));
        }
    }

    #[test]
    fn the_cap_counts_the_line_end_and_needs_no_line_end_to_be_noticed() {
        assert_eq!(whole(b"abc\r\n", 5), Line::Whole { text: b"abc", length: 5 });
        assert_eq!(whole(b"abcd\r\n", 5), Line::Malformed("line too long"));
        assert_eq!(whole(b"abc", 5), Line::Partial);
        assert_eq!(whole(b"abcd", 5), Line::Malformed("line too long"));
        assert_eq!(whole(b"abcd\r", 5), Line::Malformed("line too long"));
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_the_same_line() {
        let line = b"get alpha beta\r\n";
        let mut scanner = LineScanner::default();
        for end in 0..line.len() {
            assert_eq!(scanner.scan(&line[..end], 64), Line::Partial, "{end}");
        }
        assert_eq!(scanner.scan(line, 64), Line::Whole { text: b"get alpha beta", length: 16 });
        // The next line is looked at from its start.
        assert_eq!(scanner.scan(b"x\r\n", 64), Line::Whole { text: b"x", length: 3 });
    }
}
