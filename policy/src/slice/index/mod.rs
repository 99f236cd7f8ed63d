//! L7 rules by what they ask for, so that a request finds those that hold
//! without looking at the others.
//!
//! Every different test of a rule has a number. A request's fields tell which
//! tests hold ([`texts`], regular expressions), and the rules are looked up as
//! sets of tests ([`tree`]). What that costs follows from the request and from
//! how many tests hold at once, not from how many rules there are.

mod texts;
mod tree;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
};

use remora_parsers::{Field, Request, RuleKey, Value};

use self::{
    texts::{Tests, Texts, shared},
    tree::{Builder, Tree, Wanted},
};
use super::draft::L7Rule;
use crate::{matcher::Test, pattern::PatternSet};

pub(super) use tree::{Found, Near, earlier};

/// Rules of one protocol, for the same peers.
#[derive(Debug)]
pub(super) struct Index {
    fields: Box<[FieldTests]>,
    tree: Tree,
}

/// What rules ask of one field.
#[derive(Debug)]
struct FieldTests {
    field: &'static str,
    texts: Texts,
    /// Programs, by their place in the slice's set, ascending, and the tests
    /// that they are.
    programs: Box<[(u32, u32)]>,
}

/// The same, while rules are added.
#[derive(Default)]
struct Gathered {
    texts: BTreeMap<Box<[u8]>, Tests>,
    programs: Vec<(u32, u32)>,
}

impl Index {
    /// An index of rules, which come in order, each with its number.
    pub(super) fn new<'a>(rules: impl IntoIterator<Item = (u32, &'a L7Rule)>) -> Self {
        let mut numbers: HashMap<(&'static str, &Test), u32> = HashMap::new();
        let mut fields: BTreeMap<&'static str, Gathered> = BTreeMap::new();
        let mut tree = Builder::default();
        for (number, rule) in rules {
            let mut tests: Vec<(u32, &'static RuleKey)> = Vec::new();
            for condition in &rule.matcher.0 {
                let field = condition.key.field;
                let fresh = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                let test = *numbers.entry((field, &condition.test)).or_insert(fresh);
                if test == fresh {
                    fields.entry(field).or_default().add(&condition.test, test);
                }
                tests.push((test, condition.key));
            }
            let named = rule.name.is_some();
            tree.add(&Wanted { rule: number, named, tests: &tests });
        }
        let fields = fields.into_iter().map(|(field, gathered)| gathered.build(field));
        Self { fields: fields.collect(), tree: tree.build() }
    }

    /// Whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// What the request is all of. A field that it lacks, or that has no
    /// value, satisfies nothing; of several values every one must.
    pub(super) fn allowing(&self, request: &Request<'_>, patterns: &PatternSet) -> Found {
        with_list(|tests| {
            for own in &self.fields {
                if let Some(field) = request.field(own.field) {
                    own.hold_for_all(field, patterns, tests);
                }
            }
            tests.sort_unstable();
            self.tree.look(tests)
        })
    }

    /// The first rule of which the request has something: of several values
    /// one is enough.
    pub(super) fn denying(&self, request: &Request<'_>, patterns: &PatternSet) -> Option<u32> {
        with_list(|tests| {
            for own in &self.fields {
                let values =
                    request.field(own.field).into_iter().flat_map(|f| Value::iter(f.value));
                for value in values {
                    own.hold(value, patterns, tests);
                }
            }
            tests.sort_unstable();
            tests.dedup();
            self.tree.look(tests).rule
        })
    }
}

impl FieldTests {
    /// Adds the tests that one value satisfies.
    fn hold(&self, value: &[u8], patterns: &PatternSet, out: &mut Vec<u32>) {
        let spot = self.texts.find(value);
        out.extend_from_slice(self.texts.whole(spot));
        self.texts.prefixes(spot, last_line(value), out);
        self.matched(&self.matching(value, patterns), out);
    }

    /// Adds the tests that every value of a field satisfies: of texts as how
    /// values begin, those that what they share begins with.
    fn hold_for_all(&self, field: &Field<'_>, patterns: &PatternSet, out: &mut Vec<u32>) {
        let mut values = Value::iter(field.value);
        let Some(first) = values.next() else { return };
        let Some(second) = values.next() else { return self.hold(first, patterns, out) };
        let mut whole = self.texts.whole(self.texts.find(first)).to_vec();
        let mut matched = self.matching(first, patterns);
        let (mut common, mut line) = (first, last_line(first));
        // Clients that ask for a key again and again need no second look.
        let others = [second].into_iter().chain(values).filter(|value| *value != first);
        for value in others {
            if !whole.is_empty() {
                let also = self.texts.whole(self.texts.find(value));
                whole.retain(|test| also.contains(test));
            }
            if !matched.is_empty() {
                patterns.retain(value, &mut matched);
            }
            if !value.starts_with(common) {
                common = common.get(..shared(common, value)).unwrap_or_default();
            }
            line = line.max(last_line(value));
        }
        out.append(&mut whole);
        self.texts.prefixes(self.texts.find(common), line, out);
        self.matched(&matched, out);
    }

    fn matching(&self, value: &[u8], patterns: &PatternSet) -> Vec<u32> {
        if self.programs.is_empty() { Vec::new() } else { patterns.matches(value) }
    }

    fn matched(&self, matched: &[u32], out: &mut Vec<u32>) {
        for program in matched {
            let place = self.programs.binary_search_by_key(program, |(program, _)| *program);
            let test = place.ok().and_then(|place| self.programs.get(place));
            out.extend(test.map(|(_, test)| *test));
        }
    }
}

impl Gathered {
    fn add(&mut self, test: &Test, number: u32) {
        match test {
            Test::OneOf(words) => words.iter().for_each(|word| {
                self.text(word.as_bytes()).whole.push(number);
            }),
            Test::Exact(text) => self.text(text).whole.push(number),
            Test::Prefix(text) => self.text(text).prefix = Some(number),
            Test::LinePrefix(text) => self.text(text).line = Some(number),
            Test::Program(program) => self.programs.push((*program, number)),
        }
    }

    fn text(&mut self, text: &[u8]) -> &mut Tests {
        self.texts.entry(text.into()).or_default()
    }

    fn build(mut self, field: &'static str) -> FieldTests {
        self.programs.sort_unstable();
        FieldTests { field, texts: Texts::new(self.texts), programs: self.programs.into() }
    }
}

thread_local! {
    /// The list of [`with_list`], between two requests.
    static LIST: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Lends an empty list that outlives the request: small requests are many, and
/// none should cost an allocation.
fn with_list<T>(work: impl FnOnce(&mut Vec<u32>) -> T) -> T {
    let mut list = LIST.take();
    list.clear();
    let found = work(&mut list);
    LIST.set(list);
    found
}

/// Where a value's last line begins.
fn last_line(value: &[u8]) -> usize {
    value.iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed.saturating_add(1))
}

/// A number as a place.
pub(super) fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
