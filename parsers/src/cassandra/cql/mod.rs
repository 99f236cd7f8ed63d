//! CQL 3.4.7, as far as it tells what a statement does to which tables.
//!
//! [`lexer`] cuts a text into the tokens that the server sees; [`forms`] is the
//! table of all statements; [`statement`] holds a text against it.

mod forms;
mod lexer;
mod statement;
#[cfg(test)]
mod tests;

pub(super) use forms::{Class, actions};
pub(super) use statement::{Part, Statement, is_name, read};
