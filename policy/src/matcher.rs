//! L7 rules, compiled: which requests they are about.

use std::{collections::HashMap, sync::Arc};

use remora_parsers::{KeyKind, Protocol, Request, RuleError, Value, Word};

use crate::pattern::{Pattern, PatternError};

/// How many different regular expressions one slice may have.
pub const MAX_REGEXES: usize = 256;

/// All conditions of one L7 rule.
#[derive(Debug, Default)]
pub(crate) struct Matcher(Box<[Condition]>);

/// One key of a rule: which field it looks at, and what it wants there.
#[derive(Debug)]
struct Condition {
    key: &'static str,
    field: &'static str,
    test: Test,
}

#[derive(Debug)]
enum Test {
    OneOf(&'static [&'static str]),
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Regex(Arc<Pattern>),
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
pub(crate) struct Patterns(HashMap<String, Arc<Pattern>>);

impl Matcher {
    /// Checks and compiles the keys of one rule of `protocol`.
    pub(crate) fn compile<'a>(
        protocol: &'static Protocol,
        keys: impl IntoIterator<Item = (&'a str, &'a str)>,
        patterns: &mut Patterns,
    ) -> Result<Self, MatcherError> {
        let mut compiled = Vec::new();
        for condition in protocol.read_rule(keys)? {
            let value = condition.value;
            let test = match condition.key.kind {
                // Every word is allowed: there is nothing to test.
                KeyKind::Word(_) if value.is_empty() && condition.key.unnamed_word().is_none() => {
                    continue;
                }
                KeyKind::Word(words) => Test::OneOf(covered(words, value)),
                KeyKind::Exact => Test::Exact(value.as_bytes().into()),
                KeyKind::Prefix => Test::Prefix(value.as_bytes().into()),
                KeyKind::Regex => Test::Regex(patterns.get(condition.key.name, value)?),
            };
            compiled.push(Condition { key: condition.key.name, field: condition.key.field, test });
        }
        Ok(Self(compiled.into()))
    }

    /// Whether the request is all that an allowing rule wants. A field that
    /// the request lacks, or that has no value, satisfies nothing; of several
    /// values every one must.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        self.0.iter().all(|condition| condition.allows(request))
    }

    /// Whether the request has something of what a denying rule bars: of
    /// several values one is enough.
    pub(crate) fn denies(&self, request: &Request<'_>) -> bool {
        self.0.iter().all(|condition| {
            condition
                .values(request)
                .is_some_and(|mut values| values.any(|v| condition.test.holds(v)))
        })
    }

    /// The keys that keep an allowing rule from matching.
    pub(crate) fn misses(&self, request: &Request<'_>) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(|condition| !condition.allows(request)).map(|condition| condition.key)
    }
}

impl Condition {
    fn values<'r>(
        &self,
        request: &Request<'r>,
    ) -> Option<impl Iterator<Item = &'r [u8]> + use<'r>> {
        request.field(self.field).map(|field| Value::iter(field.value))
    }

    fn allows(&self, request: &Request<'_>) -> bool {
        let Some(values) = self.values(request) else { return false };
        let mut some = false;
        for value in values {
            if !self.test.holds(value) {
                return false;
            }
            some = true;
        }
        some
    }
}

impl Test {
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| word.as_bytes() == value),
            Self::Exact(wanted) => **wanted == *value,
            Self::Prefix(prefix) => value.starts_with(prefix),
            Self::Regex(pattern) => pattern.matches(value),
        }
    }
}

fn covered(words: &'static [Word], name: &str) -> &'static [&'static str] {
    words.iter().find(|word| word.name == name).map_or(&[], |word| word.covers)
}

impl Patterns {
    fn get(&mut self, key: &'static str, source: &str) -> Result<Arc<Pattern>, MatcherError> {
        if let Some(pattern) = self.0.get(source) {
            return Ok(Arc::clone(pattern));
        }
        if self.0.len() >= MAX_REGEXES {
            return Err(MatcherError::TooManyRegexes);
        }
        let pattern = Pattern::new(source).map_err(|error| MatcherError::Pattern { key, error })?;
        let pattern = Arc::new(pattern);
        self.0.insert(source.to_owned(), Arc::clone(&pattern));
        Ok(pattern)
    }
}
