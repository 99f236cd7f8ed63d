//! The tokens of CQL. Where server and proxy might cut a text differently, it
//! is refused: a number that runs into a word, a comment that nothing ends.

use super::super::answer::Refusal;

/// A token; comments and white space are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, or an identifier whose case means nothing.
    Word(&'a str),
    /// What stands between double quotes, as it stands there.
    Quoted(&'a str),
    /// A string, `'…'` or `$$…$$`.
    Text,
    /// A number, a duration, a UUID or a blob.
    Constant,
    /// Any other character.
    Sign(u8),
}

/// Cuts a text into tokens. A copy of it goes back to where it was made.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

/// Characters that are tokens of their own. `!` and `$` are so only in company.
const SIGNS: &[u8] = b"()[]{}<>=+-*/%,.;:?";

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next token; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Refusal> {
        self.skip_space()?;
        let bytes = self.rest.as_bytes();
        let Some(first) = bytes.first() else { return Ok(None) };
        let token = match *first {
            b'\'' => self.enclosed('\'').map(|_| Token::Text).ok_or("a string that does not end"),
            b'"' => self.enclosed('"').map(Token::Quoted).ok_or("a quoted name that does not end"),
            b'$' => self.dollars().ok_or("a string between $$ that does not end"),
            b'0'..=b'9' => self.constant().ok_or("a number that runs into a word"),
            b'a'..=b'z' | b'A'..=b'Z' => Ok(self.word()),
            b'!' if bytes.starts_with(b"!=") => Ok(self.cut(2, Token::Sign(b'!'))),
            sign if SIGNS.contains(&sign) => Ok(self.cut(1, Token::Sign(sign))),
            _ => Err("a character that CQL does not have"),
        };
        token.map(Some).map_err(Refusal::syntax)
    }

    fn cut(&mut self, length: usize, token: Token<'a>) -> Token<'a> {
        self.rest = self.rest.get(length..).unwrap_or_default();
        token
    }

    /// Skips white space and comments. A line's comment needs the line's end:
    /// without one the server finds no token in it.
    fn skip_space(&mut self) -> Result<(), Refusal> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
            let (comment, end): (_, &[char]) = if let Some(block) = self.rest.strip_prefix("/*") {
                let (_, rest) =
                    block.split_once("*/").ok_or(Refusal::syntax("a comment that does not end"))?;
                self.rest = rest;
                continue;
            } else if let Some(line) =
                self.rest.strip_prefix("--").or_else(|| self.rest.strip_prefix("//"))
            {
                (line, &['\n', '\r'])
            } else {
                return Ok(());
            };
            let (_, rest) = comment
                .split_once(end)
                .ok_or(Refusal::syntax("a comment at the end without a line feed"))?;
            self.rest = rest;
        }
    }

    /// What stands between two of `quote`; twice, it stands for itself.
    fn enclosed(&mut self, quote: char) -> Option<&'a str> {
        let inner = self.rest.get(1..)?;
        let mut end = 0usize;
        loop {
            end = end.saturating_add(inner.get(end..)?.find(quote)?);
            let behind = inner.get(end.saturating_add(1)..)?;
            if !behind.starts_with(quote) {
                self.rest = behind;
                return inner.get(..end);
            }
            end = end.saturating_add(2);
        }
    }

    fn dollars(&mut self) -> Option<Token<'a>> {
        let (_, rest) = self.rest.strip_prefix("$$")?.split_once("$$")?;
        self.rest = rest;
        Some(Token::Text)
    }

    fn word(&mut self) -> Token<'a> {
        if let Some(length) = self.of_layout(UUID).or_else(|| self.of_layout(DURATION)) {
            return self.cut(length, Token::Constant);
        }
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        Token::Word(word)
    }

    /// A constant that starts with a digit.
    fn constant(&mut self) -> Option<Token<'a>> {
        if let Some(length) = self.of_layout(UUID) {
            return Some(self.cut(length, Token::Constant));
        }
        let run = |text: &'a str| text.find(|c| !is_word(c) && c != 'µ').unwrap_or(text.len());
        let mut length = run(self.rest);
        let first = self.rest.get(..length)?;
        let number = is_digits(first);
        if !number && (is_blob(first) || is_duration(first)) {
            return Some(self.cut(length, Token::Constant));
        }
        let mut last = first;
        let behind = self.rest.get(length..)?;
        if number && behind.starts_with('.') && !behind.starts_with("..") {
            let fraction = behind.get(1..)?;
            last = fraction.get(..run(fraction))?;
            length = length.saturating_add(1).saturating_add(last.len());
        }
        let mantissa = last.trim_end_matches(['e', 'E']);
        let behind = self.rest.get(length..)?;
        if last.len() == mantissa.len().saturating_add(1) && behind.starts_with(['+', '-']) {
            let exponent = behind.get(1..)?;
            let digits = exponent.get(..run(exponent))?;
            if !is_digits(digits) {
                return None;
            }
            length = length.saturating_add(1).saturating_add(digits.len());
        } else if let Some((mantissa, exponent)) = last.split_once(['e', 'E']) {
            let plain = mantissa.is_empty() || is_digits(mantissa);
            if !plain || !is_digits(exponent) {
                return None;
            }
            return Some(self.cut(length, Token::Constant));
        }
        (mantissa.is_empty() || is_digits(mantissa)).then(|| self.cut(length, Token::Constant))
    }

    /// The length of what stands here, if it is laid out so: `x` is a hex
    /// digit, `9` a digit, and no word goes on behind it.
    fn of_layout(&self, layout: &str) -> Option<usize> {
        let text = self.rest.get(..layout.len())?;
        let fits = text.bytes().zip(layout.bytes()).all(|(byte, wanted)| match wanted {
            b'x' => byte.is_ascii_hexdigit(),
            b'9' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        });
        let behind = self.rest.get(layout.len()..)?;
        (fits && !behind.starts_with(is_word)).then_some(layout.len())
    }
}

const UUID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

/// A duration in ISO 8601's alternative format; the others read as words.
const DURATION: &str = "P9999-99-99T99:99:99";

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_blob(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Amounts with their units, such as `1h30m`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 11] = ["mo", "ms", "us", "µs", "ns", "y", "w", "d", "h", "m", "s"];
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if unit.len() == rest.len() {
            return false;
        }
        let found = UNITS.iter().find_map(|name| {
            let (head, tail) = unit.split_at_checked(name.len())?;
            (head.eq_ignore_ascii_case(name)
                && !tail.starts_with(|c: char| c.is_ascii_alphabetic()))
            .then_some(tail)
        });
        let Some(tail) = found else { return false };
        rest = tail;
    }
    !text.is_empty()
}
