//! A request as policy and access log see it: names and values.

/// A parsed request. Lives only as long as the bytes that it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is known of it, in the order in which the log prints it.
    pub fields: &'a [Field<'a>],
    /// What rules may ask about too, but is too ordinary for every line of the log.
    pub unlogged: &'a [Field<'a>],
}

impl<'a> Request<'a> {
    /// A request of which the log prints everything.
    #[must_use]
    pub const fn new(fields: &'a [Field<'a>]) -> Self {
        Self { fields, unlogged: &[] }
    }

    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a Field<'a>> {
        self.fields.iter().chain(self.unlogged).find(|field| field.name == name)
    }
}

/// One key-value field of a request.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Its name in rules and in the log.
    pub name: &'static str,
    /// What the request has there.
    pub value: Value<'a>,
}

/// The value of a field: one, or several that must all satisfy a rule.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Exactly one value.
    One(&'a [u8]),
    /// One or more, as they stand on the wire.
    Words(Words<'a>),
}

impl<'a> Value<'a> {
    /// Every single value, in wire order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let (one, words) = match self {
            Self::One(value) => (Some(value), None),
            Self::Words(words) => (None, Some(words)),
        };
        one.into_iter().chain(words.into_iter().flat_map(Words::iter))
    }
}

/// Values separated by single spaces, borrowed from a line that the parser has
/// checked to have no empty word.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// Words of a checked line. An empty line has none.
    #[must_use]
    pub const fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    /// Each word.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
    }

    /// The words as they stand, with their spaces.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// What policy says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Forward it.
    Allow,
    /// Keep it from the server and answer in the protocol.
    Deny,
}

/// Decides requests, and records what it decided.
pub trait Judge {
    /// Called exactly once for each request, in request order.
    fn judge(&mut self, request: &Request<'_>) -> Verdict;

    /// Judges requests that stand or fall together, such as the statements of
    /// a batch: all of them pass, or none. Says which one is denied first.
    fn judge_together(&mut self, requests: &[Request<'_>]) -> Option<usize> {
        // Every one is asked, so that every one is recorded.
        let verdicts: Vec<_> = requests.iter().map(|request| self.judge(request)).collect();
        verdicts.iter().position(|verdict| *verdict == Verdict::Deny)
    }

    /// The policy behind the last denial, for protocols whose answers have room
    /// for it; none where no policy came near.
    fn policy(&self) -> Option<&str> {
        None
    }

    /// Records a request that the parser itself answers with an error, without
    /// closing the connection: one that no rule could ever be about.
    fn refused(&mut self, request: &Request<'_>, reason: &'static str) {
        let _ = (request, reason);
    }
}
