//! The located tree that reading gives.

use crate::{FieldPath, Location, Segment};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins. A value that an alias stands for is where the alias is.
    pub location: Location,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`; smaller ones are always [`Value::Int`].
    UInt(u64),
    /// Any other number. Never infinite or NaN when it was read.
    Float(f64),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order in which it was written. No name comes twice.
    Map(Vec<(Key, Node)>),
}

/// The name of a map's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name itself.
    pub name: String,
    /// Where it was written.
    pub location: Location,
}

impl Node {
    /// The map's entry of that name; none also where this is no map.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What this is, with its article: `a list`.
    pub fn kind(&self) -> &'static str {
        self.value.kind()
    }

    /// The place of the field, or of its closest ancestor that exists.
    pub fn locate(&self, path: &FieldPath) -> &Location {
        let mut place = self;
        for segment in path.segments() {
            let child = match (segment, &place.value) {
                (Segment::Key(name), _) => place.get(name),
                (Segment::Index(index), Value::List(items)) => items.get(*index),
                _ => None,
            };
            match child {
                Some(child) => place = child,
                None => break,
            }
        }
        &place.location
    }

    /// The same value without its places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::UInt(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::String(value) => value.as_str().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect()
            }
        }
    }

    /// The same value as a tree that was never text: all of it is [`Location::nowhere`].
    pub fn from_json(value: &serde_json::Value) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => Value::from_number(number),
            serde_json::Value::String(text) => Value::String(text.clone()),
            serde_json::Value::Array(items) => {
                Value::List(items.iter().map(Node::from_json).collect())
            }
            serde_json::Value::Object(entries) => {
                let entry = |(name, value): (&String, &serde_json::Value)| {
                    let key = Key { name: name.clone(), location: Location::nowhere() };
                    (key, Node::from_json(value))
                };
                Value::Map(entries.iter().map(entry).collect())
            }
        };
        Self { location: Location::nowhere(), value }
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    fn from_number(number: &serde_json::Number) -> Self {
        if let Some(value) = number.as_i64() {
            Value::Int(value)
        } else if let Some(value) = number.as_u64() {
            Value::UInt(value)
        } else {
            // Every number that is neither has a float: `arbitrary_precision` is off.
            number.as_f64().map_or(Value::Null, Value::Float)
        }
    }
}
