//! L7 rules, read: what each of their keys wants of a request.

use std::collections::HashMap;

use remora_parsers::{KeyKind, Protocol, RuleError, RuleKey, Word};

use crate::pattern::{Pattern, PatternError, PatternSet, Program};

/// How many different regular expressions one slice may have. Those that are
/// text, or text and `.*`, do not count: they are looked up as text.
pub const MAX_REGEXES: usize = 256;

/// What the regular expressions of one slice may take together once they are
/// compiled, in bytes.
pub const MAX_REGEX_BYTES: usize = 256 << 10;

/// All conditions of one L7 rule, in the order of its protocol's keys.
#[derive(Debug, Default)]
pub(crate) struct Matcher(pub(crate) Box<[Condition]>);

/// One key of a rule: which field it looks at, and what it wants there.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) key: &'static RuleKey,
    pub(crate) test: Test,
}

/// What one value of a field has to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// This text.
    Exact(Box<[u8]>),
    /// This text, then anything.
    Prefix(Box<[u8]>),
    /// This text, then anything but a line feed.
    LinePrefix(Box<[u8]>),
    /// Matched by the slice's regular expression at this place.
    Program(u32),
}

/// Why a rule cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MatcherError {
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error("`{key}`: {error}")]
    Pattern { key: &'static str, error: PatternError },
    #[error("more than {MAX_REGEXES} different regular expressions: use prefixes, or fewer rules")]
    TooManyRegexes,
}

/// The expressions of one slice; equal ones are compiled once.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    known: HashMap<String, Test>,
    programs: Vec<Program>,
    bytes: usize,
}

impl Matcher {
    /// Checks and reads the keys of one rule of `protocol`.
    pub(crate) fn compile<'a>(
        protocol: &'static Protocol,
        keys: impl IntoIterator<Item = (&'a str, &'a str)>,
        patterns: &mut Patterns,
    ) -> Result<Self, MatcherError> {
        let mut compiled = Vec::new();
        for condition in protocol.read_rule(keys)? {
            let (key, value) = (condition.key, condition.value);
            let test = match key.kind {
                // Every word is allowed: there is nothing to test.
                KeyKind::Word(_) if value.is_empty() && condition.key.unnamed_word().is_none() => {
                    continue;
                }
                KeyKind::Word(words) => Test::OneOf(covered(words, value)),
                KeyKind::Exact => Test::Exact(value.as_bytes().into()),
                KeyKind::Prefix => Test::Prefix(value.as_bytes().into()),
                KeyKind::Regex => patterns.test(key.name, value)?,
            };
            compiled.push(Condition { key, test });
        }
        Ok(Self(compiled.into()))
    }
}

fn covered(words: &'static [Word], name: &str) -> &'static [&'static str] {
    words.iter().find(|word| word.name == name).map_or(&[], |word| word.covers)
}

impl Patterns {
    fn test(&mut self, key: &'static str, source: &str) -> Result<Test, MatcherError> {
        if let Some(test) = self.known.get(source) {
            return Ok(test.clone());
        }
        let wrong = |error| MatcherError::Pattern { key, error };
        let test = match Pattern::new(source).map_err(wrong)? {
            Pattern::Exact(text) => Test::Exact(text),
            Pattern::Prefix(text) => Test::Prefix(text),
            Pattern::LinePrefix(text) => Test::LinePrefix(text),
            Pattern::Program(program) => {
                if self.programs.len() >= MAX_REGEXES {
                    return Err(MatcherError::TooManyRegexes);
                }
                self.bytes = self.bytes.saturating_add(program.bytes);
                if self.bytes > MAX_REGEX_BYTES {
                    return Err(wrong(PatternError::TogetherTooLarge));
                }
                self.programs.push(program);
                Test::Program(u32::try_from(self.programs.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.known.insert(source.to_owned(), test.clone());
        Ok(test)
    }

    /// Compiles the expressions that need it, together.
    pub(crate) fn compile(&self) -> Result<PatternSet, PatternError> {
        PatternSet::new(&self.programs)
    }
}
