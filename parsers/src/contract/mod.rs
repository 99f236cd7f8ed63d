//! What a parser promises, what it is given, and who holds it to that.

mod driver;
mod op;
mod protocol;
mod request;

pub use driver::{Driver, Host, MAX_HELD_BYTES, MAX_IDLE_INJECTS};
pub use op::{Blame, Direction, Fault, Op, Parser};
pub use protocol::{Condition, KeyKind, Protocol, RuleError, RuleKey, Word, nearest};
pub use request::{Field, Judge, Request, Value, Verdict, Words};
