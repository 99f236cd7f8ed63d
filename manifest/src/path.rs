//! The path of a field inside a document.

use std::fmt;

/// A path such as `spec.ingress[0].toPorts[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Segment>);

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Into the map's entry of that name.
    Key(String),
    /// Into the list's entry at that position, counted from 0.
    Index(usize),
}

impl FieldPath {
    /// The document itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// This path, and from there the map's entry `name`.
    #[must_use]
    pub fn key(&self, name: impl Into<String>) -> Self {
        self.then(Segment::Key(name.into()))
    }

    /// This path, and from there the list's entry `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    /// Whether this is the document itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The steps from the document down to the field.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    fn then(&self, segment: Segment) -> Self {
        Self(self.0.iter().cloned().chain([segment]).collect())
    }
}

/// Names that are no plain word stand in brackets and quotes, as in `labels["app/name"]`.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("document");
        }
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(name) if !is_word(name) => write!(f, "[{name:?}]")?,
                Segment::Key(name) if position == 0 => f.write_str(name)?,
                Segment::Key(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
