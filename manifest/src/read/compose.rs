//! Parser events to one document's located tree, within the bounds.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, ScalarStyle, Span, Tag};

use super::scalar::{self, Refusal};
use super::{MAX_ALIASED_BYTES, MAX_DEPTH, MAX_VALUES, ReadError, location};
use crate::{Key, Location, Node, Value};

/// Builds one document. Lists and maps under construction form an explicit stack, so
/// that deep nesting costs memory that we bound, not the thread's stack.
pub(super) struct Composer<'f> {
    file: &'f Arc<Path>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    values: usize,
    aliased_bytes: usize,
}

/// A list or map that has begun and not yet ended.
struct Open {
    location: Location,
    anchor: usize,
    /// Levels of nesting below this one, so far.
    height: usize,
    children: Children,
}

enum Children {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, names: HashSet<String>, key: Option<Key> },
}

/// A finished value that aliases can copy.
struct Anchored {
    node: Node,
    height: usize,
}

impl<'f> Composer<'f> {
    pub(super) fn new(file: &'f Arc<Path>) -> Self {
        Self {
            file,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            values: 0,
            aliased_bytes: 0,
        }
    }

    /// The document, unless it had no content at all.
    pub(super) fn finish(self) -> Option<Node> {
        self.root
    }

    pub(super) fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), ReadError> {
        let place = location(self.file, span.start.line(), span.start.col() + 1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), place)
            }
            Event::Alias(id) => self.alias(id, place),
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", &place)?;
                self.begin(place, anchor, Children::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", &place)?;
                let children =
                    Children::Map { entries: Vec::new(), names: HashSet::new(), key: None };
                self.begin(place, anchor, children)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: Location,
    ) -> Result<(), ReadError> {
        let value = scalar::resolve(text, style, tag).map_err(|refusal| at(&place, refusal))?;
        let is_nothing = text.is_empty() && value == Value::Null;
        if self.expects_key() {
            return self.key(text, style, &value, place);
        }
        if is_nothing && self.open.is_empty() {
            return Ok(());
        }
        // A value that is not there is best looked for at its key.
        let place = if is_nothing { self.current_key().unwrap_or(place) } else { place };
        self.count(1, &place)?;
        self.put(Node { location: place, value }, anchor, 0)
    }

    fn key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        value: &Value,
        place: Location,
    ) -> Result<(), ReadError> {
        let refuse =
            |problem: String, remedy: &str| Err(ReadError::new(place.clone(), problem, remedy));
        if style == ScalarStyle::Plain && text == "<<" {
            return refuse("merge keys are not supported".to_owned(), "write the fields out");
        }
        // Only what every reader would print the same way may go unquoted.
        let name = match value {
            Value::String(name) => name.clone(),
            Value::Bool(flag) if flag.to_string() == text => text.to_owned(),
            Value::Int(number) if number.to_string() == text => text.to_owned(),
            _ => return refuse(format!("the key `{text}` is no string"), "put it in quotes"),
        };
        let Some(Open { children: Children::Map { entries, names, key, .. }, .. }) =
            self.open.last_mut()
        else {
            return Ok(());
        };
        if !names.insert(name.clone()) {
            let first = entries.iter().find(|(key, _)| key.name == name);
            let line = first.map_or(0, |(key, _)| key.location.line);
            let problem = format!("the key `{name}` is already in this map, at line {line}");
            return refuse(problem, "remove one of the two");
        }
        *key = Some(Key { name, location: place });
        Ok(())
    }

    fn alias(&mut self, id: usize, place: Location) -> Result<(), ReadError> {
        let refuse =
            |problem: &str, remedy: &str| Err(ReadError::new(place.clone(), problem, remedy));
        if self.expects_key() {
            return refuse("an alias as a key", "write the key out");
        }
        let Some(Anchored { node, height }) = self.anchors.get(&id) else {
            return refuse("an alias inside the value that it stands for", "write the value out");
        };
        let (weight, height) = (weigh(node), *height);
        if self.open.len() + height > MAX_DEPTH {
            return Err(too_deep(place));
        }
        // Charged first: nothing is copied that would exceed a bound.
        self.charge(weight, &place)?;
        if let Some(Anchored { node, .. }) = self.anchors.get(&id) {
            let copy = Node { location: place, value: node.value.clone() };
            self.attach(copy, height);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        place: Location,
        anchor: usize,
        children: Children,
    ) -> Result<(), ReadError> {
        if self.expects_key() {
            let problem = "a list or map as a key";
            return Err(ReadError::new(place, problem, "use a string; quote a text with braces"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.count(1, &place)?;
        self.open.push(Open { location: place, anchor, height: 1, children });
        Ok(())
    }

    fn end(&mut self) -> Result<(), ReadError> {
        let Some(Open { location, anchor, height, children }) = self.open.pop() else {
            return Ok(());
        };
        let value = match children {
            Children::List(items) => Value::List(items),
            Children::Map { entries, .. } => Value::Map(entries),
        };
        self.put(Node { location, value }, anchor, height)
    }

    /// Keeps a finished value for aliases, and puts it where it belongs.
    fn put(&mut self, node: Node, anchor: usize, height: usize) -> Result<(), ReadError> {
        if anchor > 0 {
            self.charge(weigh(&node), &node.location)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), height });
        }
        self.attach(node, height);
        Ok(())
    }

    fn attach(&mut self, node: Node, height: usize) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.height = parent.height.max(height + 1);
        match &mut parent.children {
            Children::List(items) => items.push(node),
            Children::Map { entries, key, .. } => {
                entries.extend(key.take().map(|key| (key, node)));
            }
        }
    }

    fn expects_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| matches!(open.children, Children::Map { key: None, .. }))
    }

    fn current_key(&self) -> Option<Location> {
        match &self.open.last()?.children {
            Children::Map { key, .. } => key.as_ref().map(|key| key.location.clone()),
            Children::List(_) => None,
        }
    }

    /// Accounts for a copy that an anchor or alias makes.
    fn charge(&mut self, weight: (usize, usize), place: &Location) -> Result<(), ReadError> {
        let (values, bytes) = weight;
        self.count(values, place)?;
        self.aliased_bytes = self.aliased_bytes.saturating_add(bytes);
        if self.aliased_bytes <= MAX_ALIASED_BYTES {
            return Ok(());
        }
        let problem = format!("anchors and aliases copy more than {MAX_ALIASED_BYTES} bytes");
        Err(ReadError::new(place.clone(), problem, "write the values out"))
    }

    fn count(&mut self, values: usize, place: &Location) -> Result<(), ReadError> {
        self.values = self.values.saturating_add(values);
        if self.values <= MAX_VALUES {
            return Ok(());
        }
        let problem = format!("the document holds more than {MAX_VALUES} values");
        Err(ReadError::new(place.clone(), problem, "split it into several documents"))
    }
}

fn check_tag(tag: Option<&Tag>, suffix: &str, place: &Location) -> Result<(), ReadError> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == suffix => Ok(()),
        Some(tag) => Err(at(place, scalar::unknown_tag(tag))),
    }
}

fn at(place: &Location, (problem, remedy): Refusal) -> ReadError {
    ReadError::new(place.clone(), problem, remedy)
}

fn too_deep(place: Location) -> ReadError {
    let problem = format!("lists and maps nest deeper than {MAX_DEPTH} levels");
    ReadError::new(place, problem, "flatten the document")
}

/// How many values a tree holds, and how many bytes of keys and strings.
fn weigh(node: &Node) -> (usize, usize) {
    let add = |(values, bytes): (usize, usize), (v, b): (usize, usize)| (values + v, bytes + b);
    match &node.value {
        Value::String(text) => (1, text.len()),
        Value::List(items) => items.iter().map(weigh).fold((1, 0), add),
        Value::Map(entries) => {
            let entry = |(key, node): &(Key, Node)| add(weigh(node), (0, key.name.len()));
            entries.iter().map(entry).fold((1, 0), add)
        }
        _ => (1, 0),
    }
}
