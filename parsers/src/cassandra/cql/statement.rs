//! Holds a text against the forms: what it does, to which tables.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    super::{MAX_NAME_BYTES, MAX_PARTS, answer::Refusal},
    forms::{Class, FORMS, Form, RESERVED, Step},
    lexer::{Lexer, Token},
};

/// One thing that a statement does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Part {
    pub(in super::super) action: &'static str,
    /// Its tables as `keyspace.table`, with spaces between; for statements
    /// about a keyspace that; empty where there is neither.
    pub(in super::super) tables: String,
}

/// A statement, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Statement {
    /// All that it does, each thing once. Not empty.
    pub(in super::super) parts: BTreeSet<Part>,
    /// It is an `INSERT`, `UPDATE` or `DELETE`, which batches are made of.
    pub(in super::super) modifies: bool,
    /// It is a `USE`.
    pub(in super::super) uses: bool,
    /// A table in it stands without its keyspace.
    pub(in super::super) unqualified: bool,
}

impl Statement {
    /// Does what another does, too.
    pub(in super::super) fn merge(&mut self, other: &Self) -> Result<(), Refusal> {
        self.parts.extend(other.parts.iter().cloned());
        check_count(&self.parts)
    }
}

fn check_count(parts: &BTreeSet<Part>) -> Result<(), Refusal> {
    if parts.len() > MAX_PARTS {
        return Err(Refusal::invalid("a batch on more than 256 tables"));
    }
    Ok(())
}

/// Reads one statement; tables without a keyspace are in `keyspace`.
pub(in super::super) fn read(text: &str, keyspace: Option<&str>) -> Result<Statement, Refusal> {
    let mut cursor = Cursor { lexer: Lexer::new(text) };
    let mut reading = Reading { keyspace, unqualified: false, parts: BTreeSet::new() };
    let mut batch = cursor.clone();
    let form = if batch.eat("BEGIN")? {
        reading.batch(batch)?;
        None
    } else {
        let form = reading.form(&mut cursor)?;
        cursor.finish()?;
        Some(form)
    };
    let action = form.map(|form| form.action);
    Ok(Statement {
        parts: reading.parts,
        modifies: matches!(action, Some("insert" | "update" | "delete")),
        uses: action == Some("use"),
        unqualified: reading.unqualified,
    })
}

/// Whether a keyspace or a table may be called so: the server lets no other
/// name come into being, quoted or not.
pub(in super::super) fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(word)
}

const UNKNOWN: Refusal = Refusal::syntax("no statement of CQL 3.4.7");

struct Reading<'a> {
    keyspace: Option<&'a str>,
    unqualified: bool,
    parts: BTreeSet<Part>,
}

impl Reading<'_> {
    /// Reads the head of a statement by the form that fits, and its rest.
    fn form(&mut self, cursor: &mut Cursor<'_>) -> Result<&'static Form, Refusal> {
        for form in &FORMS {
            let mut attempt = cursor.clone();
            let mut tables = Vec::new();
            if attempt.head(form.head, &mut tables)? {
                *cursor = attempt;
                let conditional = cursor.rest()?;
                let tables = self.tables(form.class, &tables)?;
                let modifies = matches!(form.action, "insert" | "update" | "delete");
                if conditional && modifies {
                    // The answer holds the row where the condition does not.
                    self.put(Part { action: "select", tables: tables.clone() })?;
                }
                self.put(Part { action: form.action, tables })?;
                return Ok(form);
            }
        }
        Err(UNKNOWN)
    }

    /// `BEGIN` has been read: the statements up to `APPLY BATCH`.
    fn batch(&mut self, mut cursor: Cursor<'_>) -> Result<(), Refusal> {
        let _ = cursor.eat("UNLOGGED")? || cursor.eat("COUNTER")?;
        if !cursor.eat("BATCH")? {
            return Err(UNKNOWN);
        }
        cursor.rest()?;
        let mut some = false;
        while !cursor.eat("APPLY")? {
            if !matches!(self.form(&mut cursor)?.action, "insert" | "update" | "delete") {
                return Err(Refusal::syntax("a batch of other than INSERT, UPDATE and DELETE"));
            }
            some = true;
            let mut behind = cursor.clone();
            if behind.lexer.next()? == Some(Token::Sign(b';')) {
                cursor = behind;
            }
        }
        if !cursor.eat("BATCH")? {
            return Err(UNKNOWN);
        }
        if !some {
            return Err(Refusal::invalid("an empty batch"));
        }
        cursor.finish()
    }

    fn put(&mut self, part: Part) -> Result<(), Refusal> {
        self.parts.insert(part);
        check_count(&self.parts)
    }

    fn tables(&mut self, class: Class, names: &[Name<'_>]) -> Result<String, Refusal> {
        let mut tables = String::new();
        for name in names {
            let space = if tables.is_empty() { "" } else { " " };
            tables.push_str(space);
            if let (Class::Table | Class::Named, None) = (class, &name.keyspace) {
                self.unqualified = true;
            }
            match (class, name.keyspace.as_deref().or(self.keyspace)) {
                (Class::Keyspace | Class::Bare, _) => {}
                (_, Some(keyspace)) => {
                    tables.push_str(checked(keyspace)?);
                    tables.push('.');
                }
                (_, None) => {
                    return Err(Refusal::invalid(
                        "No keyspace has been specified. USE a keyspace, or explicitly specify \
                         keyspace.tablename",
                    ));
                }
            }
            tables.push_str(checked(&name.name)?);
        }
        Ok(tables)
    }
}

fn checked(name: &str) -> Result<&str, Refusal> {
    const WHY: &str = "a keyspace or table whose name is not letters, digits and underscores";
    if is_name(name) { Ok(name) } else { Err(Refusal::invalid(WHY)) }
}

/// A table's name, perhaps with its keyspace's; as the server knows it.
struct Name<'a> {
    keyspace: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
}

/// A place in a text.
#[derive(Clone)]
struct Cursor<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Cursor<'a> {
    /// Whether the text goes on so; the names of its tables.
    fn head(&mut self, steps: &[Step], tables: &mut Vec<Name<'a>>) -> Result<bool, Refusal> {
        for step in steps {
            let fits = match *step {
                Step::Word(word) => self.eat(word)?,
                Step::OneOf(words) => self.eat_one(words)?,
                Step::Maybe(words) => self.eat_all_or_none(words)?,
                Step::Table | Step::Qualified => {
                    let name = self.qualified()?;
                    let fits = name.is_some();
                    tables.extend(name.filter(|_| matches!(step, Step::Table)));
                    fits
                }
                Step::Keyspace => {
                    let name = self.name()?;
                    let fits = name.is_some();
                    tables.extend(name.map(|name| Name { keyspace: None, name }));
                    fits
                }
                Step::Name => self.name()?.is_some(),
                Step::NameUnless(word) => self.sees(word)? || self.name()?.is_some(),
                Step::Role => self.role()?,
                Step::Upto(word) => self.skip_to(word)?,
                Step::Then(follow) => self.is_followed_by(follow)?,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn eat(&mut self, word: &str) -> Result<bool, Refusal> {
        self.eat_one(&[word])
    }

    fn eat_one(&mut self, words: &[&str]) -> Result<bool, Refusal> {
        let mut behind = self.lexer.clone();
        let Some(Token::Word(found)) = behind.next()? else { return Ok(false) };
        let fits = words.iter().any(|word| found.eq_ignore_ascii_case(word));
        if fits {
            self.lexer = behind;
        }
        Ok(fits)
    }

    /// Keywords that come together: the first decides.
    fn eat_all_or_none(&mut self, words: &[&str]) -> Result<bool, Refusal> {
        let Some((first, others)) = words.split_first() else { return Ok(true) };
        if !self.eat(first)? {
            return Ok(true);
        }
        for word in others {
            if !self.eat(word)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sees(&self, word: &str) -> Result<bool, Refusal> {
        self.clone().eat(word)
    }

    fn name(&mut self) -> Result<Option<Cow<'a, str>>, Refusal> {
        let mut behind = self.lexer.clone();
        let name = match behind.next()? {
            Some(Token::Word(word)) if !is_reserved(word) => Cow::Owned(word.to_ascii_lowercase()),
            Some(Token::Quoted(raw)) if raw.contains('"') => Cow::Owned(raw.replace("\"\"", "\"")),
            Some(Token::Quoted(raw)) => Cow::Borrowed(raw),
            _ => return Ok(None),
        };
        self.lexer = behind;
        Ok(Some(name))
    }

    fn qualified(&mut self) -> Result<Option<Name<'a>>, Refusal> {
        let Some(first) = self.name()? else { return Ok(None) };
        let mut behind = self.lexer.clone();
        if behind.next()? != Some(Token::Sign(b'.')) {
            return Ok(Some(Name { keyspace: None, name: first }));
        }
        self.lexer = behind;
        Ok(self.name()?.map(|name| Name { keyspace: Some(first), name }))
    }

    fn role(&mut self) -> Result<bool, Refusal> {
        let mut behind = self.lexer.clone();
        if behind.next()? == Some(Token::Text) {
            self.lexer = behind;
            return Ok(true);
        }
        Ok(self.name()?.is_some())
    }

    /// Skips to a reserved word, which stands outside all brackets.
    fn skip_to(&mut self, word: &str) -> Result<bool, Refusal> {
        let mut depth = 0usize;
        while let Some(token) = self.lexer.next()? {
            match token {
                Token::Word(found) if found.eq_ignore_ascii_case(word) => return Ok(depth == 0),
                Token::Sign(b';') => return Ok(false),
                token => match nested(depth, token) {
                    Some(now) => depth = now,
                    None => return Ok(false),
                },
            }
        }
        Ok(false)
    }

    fn is_followed_by(&self, follow: &[&str]) -> Result<bool, Refusal> {
        let has = |wanted: &str| follow.contains(&wanted);
        Ok(match self.lexer.clone().next()? {
            None | Some(Token::Sign(b';')) => has(""),
            Some(Token::Word(word)) => follow.iter().any(|next| word.eq_ignore_ascii_case(next)),
            Some(Token::Sign(b'(')) => has("("),
            Some(Token::Sign(b',')) => has(","),
            Some(_) => false,
        })
    }

    /// Reads to the end of the statement: to a semicolon, to what begins the
    /// next statement of a batch, or to the text's end. Says whether an `IF`
    /// makes it conditional.
    fn rest(&mut self) -> Result<bool, Refusal> {
        const NEXT: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "APPLY"];
        let (mut depth, mut conditional) = (0usize, false);
        loop {
            let mut behind = self.lexer.clone();
            let Some(token) = behind.next()? else { break };
            match token {
                Token::Sign(b';') => break,
                Token::Word(word) if NEXT.iter().any(|next| word.eq_ignore_ascii_case(next)) => {
                    break;
                }
                Token::Word(word) => conditional |= word.eq_ignore_ascii_case("IF"),
                token => depth = nested(depth, token).ok_or(UNBALANCED)?,
            }
            self.lexer = behind;
        }
        if depth == 0 { Ok(conditional) } else { Err(UNBALANCED) }
    }

    /// Nothing but semicolons may follow.
    fn finish(&mut self) -> Result<(), Refusal> {
        while let Some(token) = self.lexer.next()? {
            if token != Token::Sign(b';') {
                return Err(Refusal::syntax("something behind the statement's end"));
            }
        }
        Ok(())
    }
}

const UNBALANCED: Refusal = Refusal::syntax("brackets that do not match");

/// How deep in brackets the text is behind a token.
const fn nested(depth: usize, token: Token<'_>) -> Option<usize> {
    match token {
        Token::Sign(b'(' | b'[' | b'{') => depth.checked_add(1),
        Token::Sign(b')' | b']' | b'}') => depth.checked_sub(1),
        _ => Some(depth),
    }
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}
