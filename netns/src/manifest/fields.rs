//! The fields of one object of a manifest: each is taken by name, and one that
//! nobody took is refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// One object of the manifest and which of its fields were taken.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
    taken: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `path`.
    pub(super) fn of(value: &'a Value, path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { path, map: Some(map), taken: BTreeSet::new() }),
            _ => Err(Error::field(path, "must be a map")),
        }
    }

    /// The path of one of these fields.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// An error about one of these fields.
    pub(super) fn error(&self, key: &str, problem: impl Into<String>) -> Error {
        Error::field(self.path(key), problem)
    }

    /// A field's value; `null` counts as absent, as in the API.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.taken.insert(key);
        self.map?.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn str(&mut self, key: &'static str) -> Result<Option<&'a str>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(key, "must be a string")),
        }
    }

    pub(super) fn required_str(&mut self, key: &'static str) -> Result<&'a str> {
        self.str(key)?.ok_or_else(|| self.error(key, "is required"))
    }

    pub(super) fn bool(&mut self, key: &'static str) -> Result<Option<bool>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.error(key, "must be true or false")),
        }
    }

    pub(super) fn u32(&mut self, key: &'static str) -> Result<Option<u32>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.error(key, "must be a whole number from 0"))
    }

    /// The items of a list with the path of each; absent is empty.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Vec<(&'a Value, String)>> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let path = self.path(key);
                Ok(items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| (item, format!("{path}[{i}]")))
                    .collect())
            }
            Some(_) => Err(self.error(key, "must be a list")),
        }
    }

    /// A list of strings; absent is none, which differs from an empty list.
    pub(super) fn strings(&mut self, key: &'static str) -> Result<Option<Vec<String>>> {
        if self.value(key).is_none() {
            return Ok(None);
        }
        let items = self.list(key)?.into_iter();
        let text = items.map(|(item, path)| match item {
            Value::String(text) => Ok(text.clone()),
            _ => Err(Error::field(path, "must be a string")),
        });
        text.collect::<Result<_>>().map(Some)
    }

    /// The fields of an object below; absent is one without fields.
    pub(super) fn child(&mut self, key: &'static str) -> Result<Self> {
        let path = self.path(key);
        match self.value(key) {
            None => Ok(Self { path, map: None, taken: BTreeSet::new() }),
            Some(value) => Self::of(value, path),
        }
    }

    /// Fields that mean nothing to a kubelet, or are honoured by doing nothing.
    pub(super) fn accept(&mut self, keys: &[&'static str]) {
        self.taken.extend(keys);
    }

    /// A field that is honoured only in the value that stands for "nothing special".
    pub(super) fn only(&mut self, key: &'static str, honoured: &Value) -> Result<()> {
        match self.value(key) {
            Some(value) if value != honoured => {
                Err(self.error(key, format!("the harness honours only {honoured} here")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a field that nobody took.
    pub(super) fn finish(self) -> Result<()> {
        let untaken = self
            .map
            .into_iter()
            .flat_map(Map::iter)
            .find(|(key, value)| !value.is_null() && !self.taken.contains(key.as_str()));
        match untaken {
            Some((key, _)) => Err(self.error(
                key,
                "the harness cannot honour this field; remove it, or run the pod in a cluster",
            )),
            None => Ok(()),
        }
    }
}
