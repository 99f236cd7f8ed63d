//! From RE2's syntax to that of Rust's `regex`.

use super::PatternError;

/// The flags that RE2 knows.
const FLAGS: &str = "imsU-";

/// Rewrites what the two read differently.
pub(super) fn translate(source: &str) -> Result<String, PatternError> {
    Translator::default().run(source)
}

#[derive(Default)]
struct Translator {
    out: String,
}

impl Translator {
    fn run(mut self, source: &str) -> Result<String, PatternError> {
        let mut rest = source;
        while let Some(first) = rest.chars().next() {
            rest = match first {
                '\\' => self.escape(rest),
                '[' => self.class(rest)?,
                '{' => self.brace(rest),
                '}' => self.copy("\\}", rest, 1),
                '(' => self.group(rest)?,
                _ => self.keep(rest, first.len_utf8()),
            };
        }
        Ok(self.out)
    }

    /// Copies `length` bytes of `rest`, and returns what follows.
    fn keep<'a>(&mut self, rest: &'a str, length: usize) -> &'a str {
        let (kept, rest) = rest.split_at_checked(length).unwrap_or((rest, ""));
        self.out.push_str(kept);
        rest
    }

    /// Writes `text` for `length` bytes of `rest`, and returns what follows.
    fn copy<'a>(&mut self, text: &str, rest: &'a str, length: usize) -> &'a str {
        self.out.push_str(text);
        rest.get(length..).unwrap_or_default()
    }

    /// `\<` and `\>` are characters in RE2, edges of words in `regex`; the
    /// brace of `\x{41}` and `\p{L}` belongs to the escape.
    fn escape<'a>(&mut self, rest: &'a str) -> &'a str {
        let mut characters = rest.chars().skip(1);
        match characters.next() {
            Some('<') => self.copy("<", rest, 2),
            Some('>') => self.copy(">", rest, 2),
            Some('x' | 'p' | 'P') if characters.next() == Some('{') => {
                self.keep(rest, rest.find('}').map_or(rest.len(), |end| end.saturating_add(1)))
            }
            Some(escaped) => self.keep(rest, escaped.len_utf8().saturating_add(1)),
            None => self.keep(rest, 1),
        }
    }

    /// A brace that is no repetition is a character in RE2: `/items/{id}`.
    fn brace<'a>(&mut self, rest: &'a str) -> &'a str {
        match repetition(rest) {
            Some(length) => self.keep(rest, length),
            None => self.copy("\\{", rest, 1),
        }
    }

    /// In a class, RE2 knows neither classes within nor `&&`, `--` and `~~`.
    fn class<'a>(&mut self, rest: &'a str) -> Result<&'a str, PatternError> {
        let mut rest = self.keep(rest, 1);
        if rest.starts_with('^') {
            rest = self.keep(rest, 1);
        }
        if rest.starts_with(']') {
            rest = self.copy("\\]", rest, 1);
        }
        while let Some(first) = rest.chars().next() {
            rest = match first {
                ']' => return Ok(self.keep(rest, 1)),
                '\\' => self.escape(rest),
                '[' => match rest.find(":]") {
                    Some(end) if rest.starts_with("[:") => self.keep(rest, end.saturating_add(2)),
                    _ => self.copy("\\[", rest, 1),
                },
                '&' => self.copy("\\&", rest, 1),
                '~' => self.copy("\\~", rest, 1),
                '-' if rest.starts_with("--") => {
                    let message = "`--` in a character class: write `\\-` for a hyphen";
                    return Err(PatternError::Syntax(message.to_owned()));
                }
                _ => self.keep(rest, first.len_utf8()),
            };
        }
        Ok(rest)
    }

    /// Flags that RE2 lacks would change what the rest means.
    fn group<'a>(&mut self, rest: &'a str) -> Result<&'a str, PatternError> {
        if let Some(flags) = rest.strip_prefix("(?") {
            let end = flags.find([')', ':', '<', '(']).unwrap_or(flags.len());
            let flags = flags.get(..end).unwrap_or_default();
            if flags != "P" && flags.chars().any(|flag| !FLAGS.contains(flag)) {
                let message = format!("`(?{flags}`: the flags are i, m, s and U");
                return Err(PatternError::Syntax(message));
            }
        }
        Ok(self.keep(rest, 1))
    }
}

/// The length of `{n}`, `{n,}` or `{n,m}` at the head of `text`.
fn repetition(text: &str) -> Option<usize> {
    let end = text.find('}')?;
    let (low, high) = match text.get(1..end)?.split_once(',') {
        Some((low, high)) => (low, high),
        None => (text.get(1..end)?, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (!low.is_empty() && digits(low) && digits(high)).then(|| end.saturating_add(1))
}
