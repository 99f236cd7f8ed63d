//! The text protocol: lines, and values by their length.

mod admin;
mod base64;
mod command;
mod meta;
mod parser;
mod reply;

pub(super) use admin::statistics;
pub(super) use parser::TextParser;
