//! Reads and writes YAML and JSON manifests.
//!
//! Every value keeps the file, line and column it was written at, so that
//! whoever judges it later can say where it is wrong. Reading is YAML 1.2's core
//! schema ([`read`]); the exceptions that Kubernetes users rely on, and the
//! parts of YAML that we refuse, are listed there.
//!
//! | bound | value |
//! |---|---|
//! | [`MAX_BYTES`] | text of one file |
//! | [`MAX_DEPTH`] | nesting of lists and maps |
//! | [`MAX_VALUES`] | values of one document, with the copies that anchors and aliases make |
//! | [`MAX_ALIASED_BYTES`] | text that anchors and aliases copy in one document |

mod field;
mod location;
mod node;
mod path;
mod read;
mod write;

pub use field::{Field, FieldError};
pub use location::Location;
pub use node::{Key, Node, Value};
pub use path::{FieldPath, Segment};
pub use read::{MAX_ALIASED_BYTES, MAX_BYTES, MAX_DEPTH, MAX_VALUES, ReadError, read, read_bytes};
pub use write::to_yaml;
