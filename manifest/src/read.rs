//! Text to located trees.

mod compose;
mod error;
mod json;
mod scalar;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser};

use self::compose::Composer;
pub use self::error::ReadError;
use crate::{Location, Node};

/// The longest text that is read, in bytes. The API server takes at most 3 MiB.
pub const MAX_BYTES: usize = 4 << 20;
/// How deep lists and maps may nest. The deepest thing in use is a CRD's schema, at about 40.
pub const MAX_DEPTH: usize = 128;
/// How many values one document may hold, with the copies that anchors and aliases make.
pub const MAX_VALUES: usize = 200_000;
/// How many bytes of keys and strings anchors and aliases may copy in one document.
pub const MAX_ALIASED_BYTES: usize = 1 << 20;

/// Reads each document of a YAML or JSON text.
///
/// The schema is YAML 1.2's core schema, so a plain `yes` or `on` is a string. Two
/// things are as Kubernetes users know them instead: `0644` is octal, as it is in
/// `defaultMode: 0644`, and a key that is a plain number or boolean counts as a
/// string. Refused, with the line and a remedy: duplicate and null keys, lists and
/// maps as keys, merge keys (`<<`), tags beyond the core schema, numbers that JSON
/// cannot hold, and whatever exceeds a bound.
///
/// Gives one result per document. A document that breaks a rule does not spoil the
/// others; after a syntax error, the last element, nothing can be read. Documents
/// without any content are left out.
///
/// # Errors
/// Each [`ReadError`] prints as `FILE:LINE:COLUMN: problem; remedy`.
pub fn read(text: &str, file: &Path) -> Vec<Result<Node, ReadError>> {
    let file: Arc<Path> = Arc::from(file);
    if text.len() > MAX_BYTES {
        return vec![Err(ReadError::too_long(&file))];
    }
    if let Some(error) = control_character(text, &file) {
        return vec![Err(error)];
    }
    let mut documents = Vec::new();
    let text = json::join_surrogates(text);
    let mut parser = Parser::new_from_str(&text);
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => return documents,
            Some(Ok((Event::DocumentStart(_), _))) => match read_document(&mut parser, &file) {
                Ok(document) => documents.extend(document.transpose()),
                Err(fatal) => {
                    documents.push(Err(fatal));
                    return documents;
                }
            },
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                documents.push(Err(ReadError::syntax(&file, &error)));
                return documents;
            }
        }
    }
}

/// As [`read`], for bytes that may not be UTF-8.
///
/// # Errors
/// As [`read`]; bytes that are not UTF-8 are one error that names their line.
pub fn read_bytes(bytes: &[u8], file: &Path) -> Vec<Result<Node, ReadError>> {
    if bytes.len() > MAX_BYTES {
        return vec![Err(ReadError::too_long(&Arc::from(file)))];
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => read(text, file),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let place = end_of(&String::from_utf8_lossy(before), &Arc::from(file));
            let remedy = "save the file as UTF-8";
            vec![Err(ReadError::new(place, "the text is not UTF-8", remedy))]
        }
    }
}

/// Reads up to the document's end. The outer error is one after which nothing can be read.
fn read_document<'t>(
    parser: &mut Parser<'t, saphyr_parser::StrInput<'t>>,
    file: &Arc<Path>,
) -> Result<Result<Option<Node>, ReadError>, ReadError> {
    let mut composer = Composer::new(file);
    let mut broken = None;
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::DocumentEnd | Event::StreamEnd, _))) => {
                return Ok(broken.map_or_else(|| Ok(composer.finish()), Err));
            }
            // The rest of a broken document is skipped, to get at the next one.
            Some(Ok(_)) if broken.is_some() => {}
            Some(Ok((event, span))) => broken = composer.event(event, span).err(),
            Some(Err(error)) => return Err(broken.unwrap_or(ReadError::syntax(file, &error))),
        }
    }
}

/// YAML text has no control characters, and the scanner would take NUL for the text's end.
fn control_character(text: &str, file: &Arc<Path>) -> Option<ReadError> {
    let is_forbidden = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    let at = text.find(is_forbidden)?;
    let place = end_of(text.get(..at).unwrap_or_default(), file);
    let code = text.as_bytes().get(at).copied().unwrap_or_default();
    let problem = format!("control character 0x{code:02x} in the text");
    Some(ReadError::new(place, problem, format!("write it as \"\\x{code:02x}\" in double quotes")))
}

/// The place right after `text`.
fn end_of(text: &str, file: &Arc<Path>) -> Location {
    let line = text.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = text.chars().rev().take_while(|c| *c != '\n').count() + 1;
    location(file, line, column)
}

fn location(file: &Arc<Path>, line: usize, column: usize) -> Location {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Location { file: Some(Arc::clone(file)), line: number(line), column: number(column) }
}
