//! Schema-like reading of a located tree: each step either gives the field that
//! is asked for or an error that names its file, line and path.

use crate::{FieldPath, Key, Location, Node, Value};

/// A value in a document, together with its path.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// The value.
    pub node: &'a Node,
    /// How to get there from the document.
    pub path: FieldPath,
}

/// A field that is not what it should be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {path}: {problem}; {remedy}", .location.file_and_line())]
pub struct FieldError {
    /// Where the field is, or the map that lacks it.
    pub location: Location,
    /// Which field.
    pub path: FieldPath,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl<'a> Field<'a> {
    /// The whole document.
    pub fn root(node: &'a Node) -> Self {
        Self { node, path: FieldPath::root() }
    }

    /// The map's entry `name`; null if it is written so, none if it is absent.
    ///
    /// # Errors
    /// This is no map.
    pub fn get(&self, name: &str) -> Result<Option<Field<'a>>, FieldError> {
        self.map()?;
        Ok(self.node.get(name).map(|node| Field { node, path: self.path.key(name) }))
    }

    /// The map's entry `name`, where null means absent, as the API server has it.
    ///
    /// # Errors
    /// This is no map.
    pub fn get_given(&self, name: &str) -> Result<Option<Field<'a>>, FieldError> {
        Ok(self.get(name)?.filter(|field| !field.node.is_null()))
    }

    /// The map's entry `name`.
    ///
    /// # Errors
    /// This is no map, or the entry is absent or null.
    pub fn require(&self, name: &str) -> Result<Field<'a>, FieldError> {
        let entry = self.get(name)?;
        // A null is missing where it was written, an absent entry where its map begins.
        let location = entry.as_ref().map_or(self.node, |entry| entry.node).location.clone();
        entry.filter(|entry| !entry.node.is_null()).ok_or_else(|| FieldError {
            location,
            path: self.path.key(name),
            problem: "is missing".to_owned(),
            remedy: "add it".to_owned(),
        })
    }

    /// The map's entries in the order in which they were written.
    ///
    /// # Errors
    /// This is no map.
    pub fn entries(
        &self,
    ) -> Result<impl Iterator<Item = (&'a Key, Field<'a>)> + use<'a>, FieldError> {
        let path = self.path.clone();
        Ok(self.map()?.iter().map(move |(key, node)| {
            let path = path.key(&key.name);
            (key, Field { node, path })
        }))
    }

    /// The list's entries.
    ///
    /// # Errors
    /// This is no list.
    pub fn items(&self) -> Result<impl Iterator<Item = Field<'a>> + use<'a>, FieldError> {
        let Value::List(items) = &self.node.value else { return Err(self.expected("a list")) };
        let path = self.path.clone();
        Ok(items.iter().enumerate().map(move |(i, node)| Field { node, path: path.index(i) }))
    }

    /// The string.
    ///
    /// # Errors
    /// This is no string.
    pub fn string(&self) -> Result<&'a str, FieldError> {
        self.node.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// The boolean.
    ///
    /// # Errors
    /// This is no boolean.
    pub fn boolean(&self) -> Result<bool, FieldError> {
        match self.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.expected("a boolean")),
        }
    }

    /// The whole number.
    ///
    /// # Errors
    /// This is no whole number, or none that fits.
    pub fn integer(&self) -> Result<i64, FieldError> {
        match self.node.value {
            Value::Int(value) => Ok(value),
            _ => Err(self.expected("a whole number")),
        }
    }

    /// One error for each entry of this map that is not in `known`, with the nearest known name.
    ///
    /// # Errors
    /// This is no map.
    pub fn unknown(&self, known: &[&str]) -> Result<Vec<FieldError>, FieldError> {
        let stranger = |(key, field): (&'a Key, Field<'a>)| {
            let remedy = match nearest(&key.name, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            FieldError {
                location: key.location.clone(),
                path: field.path,
                problem: "is not a field that is known here".to_owned(),
                remedy,
            }
        };
        Ok(self
            .entries()?
            .filter(|(key, _)| !known.contains(&key.name.as_str()))
            .map(stranger)
            .collect())
    }

    /// An error about this field.
    pub fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> FieldError {
        FieldError {
            location: self.node.location.clone(),
            path: self.path.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    fn map(&self) -> Result<&'a [(Key, Node)], FieldError> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.expected("a map")),
        }
    }

    fn expected(&self, kind: &str) -> FieldError {
        let mut remedy = format!("write {kind}");
        // The commonest slip of all: a label or annotation that YAML takes for something else.
        if kind == "a string" && matches!(self.node.kind(), "a number" | "a boolean") {
            remedy = "put it in quotes".to_owned();
        }
        self.error(format!("expected {kind}, found {}", self.node.kind()), remedy)
    }
}

/// The known name that `name` was probably meant to be.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &str| {
        strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase())
    };
    let best = known.iter().copied().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= name.chars().count().div_ceil(3)).then_some(best)
}
