//! A protocol as policy sees it: which rules can be written for it.

use super::op::Parser;

/// An L7 protocol: its name in policies, its rule keys and its parser.
#[derive(Debug)]
pub struct Protocol {
    /// What `l7proto` calls it.
    pub name: &'static str,
    /// The keys that a rule may have.
    pub keys: &'static [RuleKey],
    /// Refuses combinations of keys that can never match anything.
    pub check: fn(&[Condition<'_>]) -> Result<(), RuleError>,
    /// A parser for one connection.
    pub parser: fn() -> Box<dyn Parser>,
}

/// One key of a protocol's rules.
#[derive(Debug)]
pub struct RuleKey {
    /// Its name in a rule.
    pub name: &'static str,
    /// The request field that it constrains.
    pub field: &'static str,
    /// How a value is compared.
    pub kind: KeyKind,
}

impl RuleKey {
    /// What a rule without this key means, where that is not every word.
    #[must_use]
    pub fn unnamed_word(&self) -> Option<&'static Word> {
        match self.kind {
            KeyKind::Word(words) => words.iter().find(|word| word.name.is_empty()),
            KeyKind::Exact | KeyKind::Prefix | KeyKind::Regex => None,
        }
    }
}

/// How a rule's value is compared with each value of the request's field.
#[derive(Debug, Clone, Copy)]
pub enum KeyKind {
    /// One of a fixed set of words, some of which stand for several. An empty
    /// value stands for all of them: what `command:` without a value means.
    /// Where there is a word without a name, it is what a rule means that gives
    /// other keys but not this one.
    Word(&'static [Word]),
    /// The whole value, byte for byte.
    Exact,
    /// How the value begins.
    Prefix,
    /// A regular expression over the whole value.
    Regex,
}

/// A word of a [`KeyKind::Word`] key, with the request words that it covers.
#[derive(Debug)]
pub struct Word {
    /// What a rule says.
    pub name: &'static str,
    /// What a request may then say.
    pub covers: &'static [&'static str],
}

/// A key of a rule with its value, checked against the protocol's schema.
#[derive(Debug, Clone, Copy)]
pub struct Condition<'a> {
    /// The key.
    pub key: &'static RuleKey,
    /// Its value: not empty, but for [`KeyKind::Word`].
    pub value: &'a str,
}

/// Why a rule is no rule of its protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The protocol has no such key.
    #[error("{protocol} rules have no key `{key}`: did you mean `{nearest}`? (they have {known})")]
    UnknownKey {
        /// The protocol's name.
        protocol: &'static str,
        /// What was written.
        key: String,
        /// The nearest valid one.
        nearest: &'static str,
        /// All valid ones.
        known: String,
    },
    /// The key's value is none of its words.
    #[error("`{value}` is no value of `{key}`: did you mean `{nearest}`?")]
    UnknownWord {
        /// The key.
        key: &'static str,
        /// What was written.
        value: String,
        /// The nearest valid one.
        nearest: &'static str,
    },
    /// A key without a value where nothing could match it.
    #[error("`{key}` has no value: nothing could match it; write one or leave the key out")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// Keys that contradict each other.
    #[error("{0}")]
    Combination(String),
}

impl Protocol {
    /// Checks one rule's keys and values. Order follows the schema, so that
    /// two spellings of one rule compare equal.
    ///
    /// # Errors
    /// A [`RuleError`] that names the key and the remedy.
    pub fn read_rule<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<Condition<'a>>, RuleError> {
        let mut conditions = Vec::new();
        for (name, value) in pairs {
            let key = self.key(name)?;
            check_value(key, value)?;
            conditions.push(Condition { key, value });
        }
        self.imply(&mut conditions);
        conditions.sort_by_key(|condition| {
            self.keys.iter().position(|key| key.name == condition.key.name)
        });
        if let Some(twice) = twice(&conditions) {
            return Err(RuleError::Combination(format!(
                "`{twice}` stands twice: a rule has each key once; write two rules"
            )));
        }
        (self.check)(&conditions)?;
        Ok(conditions)
    }

    /// Puts the word without a name where a rule has other keys and none of the
    /// words of that one.
    fn imply<'a>(&self, conditions: &mut Vec<Condition<'a>>) {
        for key in self.keys.iter().filter(|key| key.unnamed_word().is_some()) {
            let of_key = |condition: &Condition<'_>| condition.key.name == key.name;
            let others = conditions.iter().any(|condition| !of_key(condition));
            if others && !conditions.iter().any(of_key) {
                conditions.push(Condition { key, value: "" });
            } else if !others {
                conditions.retain(|condition| !condition.value.is_empty());
            }
        }
    }

    fn key(&self, name: &str) -> Result<&'static RuleKey, RuleError> {
        self.keys.iter().find(|key| key.name == name).ok_or_else(|| {
            let known: Vec<_> = self.keys.iter().map(|key| key.name).collect();
            RuleError::UnknownKey {
                protocol: self.name,
                key: name.to_owned(),
                nearest: nearest(name, known.iter().copied()).unwrap_or_default(),
                known: known.join(", "),
            }
        })
    }
}

/// The first key that stands more than once, in the schema's order.
fn twice(conditions: &[Condition<'_>]) -> Option<&'static str> {
    let mut neighbours = conditions.iter().zip(conditions.iter().skip(1));
    let (one, _) = neighbours.find(|(one, next)| one.key.name == next.key.name)?;
    Some(one.key.name)
}

fn check_value(key: &'static RuleKey, value: &str) -> Result<(), RuleError> {
    match key.kind {
        KeyKind::Word(words) => {
            if value.is_empty() || words.iter().any(|word| word.name == value) {
                return Ok(());
            }
            Err(RuleError::UnknownWord {
                key: key.name,
                value: value.to_owned(),
                nearest: nearest(value, names(words)).unwrap_or_default(),
            })
        }
        KeyKind::Exact | KeyKind::Prefix | KeyKind::Regex if value.is_empty() => {
            Err(RuleError::Empty { key: key.name })
        }
        KeyKind::Exact | KeyKind::Prefix | KeyKind::Regex => Ok(()),
    }
}

fn names(words: &'static [Word]) -> impl Iterator<Item = &'static str> {
    words.iter().map(|word| word.name).filter(|name| !name.is_empty())
}

/// The candidate that is spelt most like `word`; one that goes on as `word`
/// begins is nearer than one that has other letters.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Fewer letters are the beginning of too much.
    const BEGINNING: usize = 3;
    let lower = word.to_ascii_lowercase();
    candidates.into_iter().min_by_key(|candidate| {
        let begins = lower.len() >= BEGINNING && candidate.starts_with(&lower);
        (!begins, strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()))
    })
}
