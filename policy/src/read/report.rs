//! Collects what is wrong, so that reading can go on.

use remora_manifest::{Field, FieldError, Location};
use remora_parsers::nearest;

use super::schema::{Schema, home};
use crate::refusal::PolicyError;

/// Errors and warnings of one document.
#[derive(Default)]
pub(super) struct Report {
    pub(super) errors: Vec<PolicyError>,
    pub(super) warnings: Vec<String>,
}

impl Report {
    /// The value, or none and its error in the report: once, though a field
    /// that is no map is asked for each of its own.
    pub(super) fn accept<T>(&mut self, result: Result<T, FieldError>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => policy_error(&error),
        };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
        None
    }

    /// Something is wrong with a field.
    pub(super) fn refuse(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.errors.push(at(&field.node.location, field.path.to_string(), message.into()));
    }

    /// The author should know something about a field.
    pub(super) fn warn(&mut self, field: &Field<'_>, message: impl Into<String>) {
        let warning = at(&field.node.location, field.path.to_string(), message.into());
        self.warnings.push(warning.to_string());
    }

    /// Whether `field` is a map of these fields, each with a value. What is
    /// known but not supported is refused by name, what is not known too.
    pub(super) fn fields(&mut self, field: &Field<'_>, schema: &Schema) -> bool {
        let Some(entries) = self.accept(field.entries()) else { return false };
        let before = self.errors.len();
        for (key, entry) in entries {
            let name = key.name.as_str();
            let message = if schema.later.contains(&name) {
                "is not supported yet; as long as it stands here, what the policy selects is closed"
                    .to_owned()
            } else if schema.read.contains(&name) {
                if !entry.node.is_null() {
                    continue;
                }
                "has no value; write one, or leave the field out".to_owned()
            } else if schema.ignored.contains(&name) {
                continue;
            } else {
                stranger(name, schema)
            };
            self.errors.push(at(&key.location, entry.path.to_string(), message));
        }
        self.errors.len() == before
    }

    /// The list's entries, if the field is there and is a list with any.
    /// `empty` says what to do about one without.
    pub(super) fn some_items<'a>(
        &mut self,
        field: &Field<'a>,
        empty: &str,
    ) -> Option<Vec<Field<'a>>> {
        let items: Vec<_> = self.accept(field.items())?.collect();
        if items.is_empty() {
            self.refuse(field, format!("is empty; {empty}"));
            return None;
        }
        Some(items)
    }

    /// Unknown fields of the document itself change nothing, as with the API
    /// server, unless they were meant to stand in `spec` or `metadata`.
    pub(super) fn top_level(&mut self, root: &Field<'_>, schema: &Schema) {
        let Some(entries) = self.accept(root.entries()) else { return };
        for (key, entry) in entries {
            let name = key.name.as_str();
            if schema.names().any(|known| known == name) {
                continue;
            }
            match home(name) {
                Some(home) => {
                    let message = format!("does not belong here; it belongs {home}");
                    self.errors.push(at(&key.location, entry.path.to_string(), message));
                }
                None => {
                    let message = "is no field of a policy and is ignored; remove it".to_owned();
                    let warning = at(&key.location, entry.path.to_string(), message);
                    self.warnings.push(warning.to_string());
                }
            }
        }
    }
}

fn stranger(name: &str, schema: &Schema) -> String {
    match (home(name), nearest(name, schema.names())) {
        (Some(home), _) => format!("does not belong here; it belongs {home}"),
        (None, Some(nearest)) => format!("is not a known field; did you mean `{nearest}`?"),
        (None, None) => "is not a known field; remove it".to_owned(),
    }
}

fn policy_error(error: &FieldError) -> PolicyError {
    let message = format!("{}; {}", error.problem, error.remedy);
    at(&error.location, error.path.to_string(), message)
}

fn at(location: &Location, field: String, message: String) -> PolicyError {
    let file = location.file.as_ref().map(|file| file.display().to_string());
    PolicyError { file, line: location.line, field, message }
}
