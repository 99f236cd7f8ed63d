//! Regular expressions of rules: RE2's syntax, bytes, the whole value.
//!
//! Cilium reads them with Go's `regexp`; this reads them alike, but for one
//! thing: an expression has to match all of the value. `\w`, `\d`, `\s`, `\b`
//! and `(?i)` are ASCII, and `.` is any byte but a line feed.
//! Syntax: <https://github.com/google/re2/wiki/Syntax>.
//!
//! Most expressions of policies are plain text, or text and `.*`. Those need no
//! program: they are looked up like any other text. The others of a slice
//! become one program, so that a value is read once, however many there are.

mod set;
#[cfg(test)]
mod tests;
mod translate;

use regex_automata::{
    nfa::thompson::{self, NFA, WhichCaptures},
    util::syntax,
};
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

pub(crate) use set::PatternSet;
#[cfg(test)]
pub(crate) use tests::alone;

/// The longest expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// The largest program that an expression may become, in bytes.
pub const MAX_PATTERN_PROGRAM_BYTES: usize = 128 << 10;

/// How deep groups may nest.
const MAX_NESTING: u32 = 50;

/// What an expression asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This text and no other.
    Exact(Box<[u8]>),
    /// This text, then anything.
    Prefix(Box<[u8]>),
    /// This text, then anything but a line feed.
    LinePrefix(Box<[u8]>),
    /// What only a program can tell.
    Program(Program),
}

/// An expression that a [`PatternSet`] can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// In the syntax of Rust's `regex`, anchored at both ends.
    text: String,
    /// What it takes when it is compiled alone.
    pub(crate) bytes: usize,
}

/// Why a text is no expression that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// More than [`MAX_PATTERN_BYTES`].
    #[error("the regular expression has {0} bytes: at most {MAX_PATTERN_BYTES} are taken")]
    TooLong(usize),
    /// More than [`MAX_PATTERN_PROGRAM_BYTES`] once it is compiled.
    #[error("the regular expression is too large once compiled: make its repetitions smaller")]
    TooLarge,
    /// More than [`MAX_REGEX_BYTES`](crate::MAX_REGEX_BYTES) with those before it.
    #[error(
        "with this one, the regular expressions are too large once compiled: use prefixes, or make \
         repetitions smaller"
    )]
    TogetherTooLarge,
    /// Not the syntax of RE2.
    #[error("not a regular expression: {0}")]
    Syntax(String),
}

impl Pattern {
    /// Reads an expression. How long that takes is bounded by its length and
    /// by the size of its program.
    pub(crate) fn new(source: &str) -> Result<Self, PatternError> {
        if source.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong(source.len()));
        }
        let translated = translate::translate(source)?;
        // Alone first: `a)|(b` is no expression, however it looks in brackets.
        let hir = syntax::parse_with(&translated, &syntax_config())
            .map_err(|error| syntax_error(&error.to_string()))?;
        if let Some(plain) = plain(&hir) {
            return Ok(plain);
        }
        let text = format!(r"\A(?:{translated})\z");
        let nfa = compile(&[&text], Some(MAX_PATTERN_PROGRAM_BYTES))?;
        Ok(Self::Program(Program { text, bytes: nfa.memory_usage() }))
    }
}

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).nest_limit(MAX_NESTING)
}

/// One program for all of these.
fn compile(texts: &[&str], limit: Option<usize>) -> Result<NFA, PatternError> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(limit);
    thompson::Compiler::new().syntax(syntax_config()).configure(config).build_many(texts).map_err(
        |error| match error.size_limit() {
            Some(_) => PatternError::TooLarge,
            None => syntax_error(&error.to_string()),
        },
    )
}

/// The parser draws the expression and an arrow; one line is enough here.
fn syntax_error(drawing: &str) -> PatternError {
    let last = drawing.lines().last().unwrap_or_default();
    PatternError::Syntax(last.strip_prefix("error: ").unwrap_or(last).to_owned())
}

/// An expression that is text, or text and `.*`. Anchors at its ends say what
/// is so anyway.
fn plain(hir: &Hir) -> Option<Pattern> {
    let mut parts = match hir.kind() {
        HirKind::Capture(group) => return plain(&group.sub),
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = parts
        && *first.kind() == HirKind::Look(Look::Start)
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && *last.kind() == HirKind::Look(Look::End)
    {
        parts = rest;
    }
    match parts {
        [text] => text_of(text).map(Pattern::Exact).or_else(|| anything(text, &[])),
        [text, rest] => anything(rest, &text_of(text)?),
        _ => None,
    }
}

fn text_of(hir: &Hir) -> Option<Box<[u8]>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.clone()),
        _ => None,
    }
}

/// `.*` behind a text, with or without the flag `s`.
fn anything(hir: &Hir, text: &[u8]) -> Option<Pattern> {
    let HirKind::Repetition(Repetition { min: 0, max: None, sub, .. }) = hir.kind() else {
        return None;
    };
    let HirKind::Class(Class::Bytes(class)) = sub.kind() else { return None };
    let ranges: Vec<_> = class.iter().map(|range| (range.start(), range.end())).collect();
    match ranges.as_slice() {
        [(0, 0xff)] => Some(Pattern::Prefix(text.into())),
        [(0, b'\t'), (0x0b, 0xff)] => Some(Pattern::LinePrefix(text.into())),
        _ => None,
    }
}
