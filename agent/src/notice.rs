//! What a person should read in the log, and how it gets there once.

use std::collections::BTreeSet;
use std::mem;

/// How loud a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is wrong, and something is not enforced as it was written.
    Error,
    /// Something is probably not what its author meant.
    Warning,
    /// Worth knowing.
    Info,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// How loud it is.
    pub severity: Severity,
    /// Which reading of a file it is about: the same text about another one is news.
    pub revision: u64,
    /// The line: place, what is wrong, remedy.
    pub text: String,
}

impl Notice {
    pub(crate) fn new(severity: Severity, revision: u64, text: impl Into<String>) -> Self {
        Self { severity, revision, text: text.into() }
    }

    /// Writes it to the log.
    pub(crate) fn log(&self) {
        let text = one_line(&self.text);
        match self.severity {
            Severity::Error => tracing::error!("{text}"),
            Severity::Warning => tracing::warn!("{text}"),
            Severity::Info => tracing::info!("{text}"),
        }
    }
}

/// Tells news from what was said before: a state that lasts is logged once.
#[derive(Debug, Default)]
pub(crate) struct Journal(BTreeSet<Notice>);

impl Journal {
    /// All that is to be said now; gives what was not said the last time.
    pub(crate) fn news(&mut self, now: impl IntoIterator<Item = Notice>) -> Vec<Notice> {
        let before = mem::replace(&mut self.0, now.into_iter().collect());
        self.0.difference(&before).cloned().collect()
    }
}

/// How much of a text from outside goes into the log, in bytes.
const MAX_TEXT_BYTES: usize = 2048;

/// Text from outside as one bounded line: nobody forges a line of ours.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= MAX_TEXT_BYTES {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(revision: u64, text: &str) -> Notice {
        Notice::new(Severity::Error, revision, text)
    }

    #[test]
    fn a_state_that_lasts_is_news_once() {
        let mut journal = Journal::default();
        assert_eq!(journal.news([notice(1, "a"), notice(1, "a")]), [notice(1, "a")]);
        assert_eq!(journal.news([notice(1, "a"), notice(1, "b")]), [notice(1, "b")]);
        assert_eq!(journal.news([notice(2, "a")]), [notice(2, "a")], "the file was edited");
        assert_eq!(journal.news([]), []);
        assert_eq!(journal.news([notice(2, "a")]), [notice(2, "a")], "it came back");
    }

    #[test]
    fn a_text_from_outside_is_one_bounded_line() {
        assert_eq!(one_line("bad\nERROR forged\u{1b}[0m"), "bad\\nERROR forged\\u{1b}[0m");
        assert!(one_line(&"x".repeat(10_000)).len() < MAX_TEXT_BYTES + 8);
    }
}
