//! Where parsers run: a panic costs the connection that it happened on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use remora_parsers::{Driver, Fault, Protocol};

use crate::errors::Error;

/// A driver with a parser of `protocol`.
///
/// # Errors
/// The parser's panic.
pub(super) fn driver(protocol: &'static Protocol) -> Result<Driver, Error> {
    run(|| Ok(Driver::new((protocol.parser)())))
}

/// Runs `work`, which calls a parser.
///
/// After a panic the parser's state is whatever the panic left. That is
/// sound only because the caller ends the connection and asks it nothing more.
///
/// # Errors
/// The parser's fault, or its panic.
pub(super) fn run<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(Error::Protocol),
        Err(payload) => Err(Error::Panic(message(payload.as_ref()).to_owned())),
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<String>() {
        Some(text) => text,
        None => payload.downcast_ref::<&str>().copied().unwrap_or("without a message"),
    }
}
