//! The R2-D2 control protocol: the toy that Cilium's guide to parsers is
//! written around, and ours is too.
//!
//! Requests are `READ file`, `WRITE file`, `HALT` and `RESET`, each a line that
//! ends in CRLF; each is answered by one line. A denied request is answered
//! `ERROR\r\n`. What every case does is in `docs/protocols/r2d2.md`.

mod parser;

use crate::contract::{Condition, KeyKind, Protocol, RuleError, RuleKey, Word};

/// The longest line of either side, in bytes, CRLF included.
pub const MAX_LINE_BYTES: usize = 1024;

/// How many requests may await their reply before further ones are held back.
pub const MAX_OUTSTANDING: usize = 1024;

/// What a denied request is answered with.
pub const DENIED: &[u8] = b"ERROR\r\n";

/// The protocol as policy sees it.
pub static PROTOCOL: Protocol = Protocol {
    name: "r2d2",
    keys: &[
        RuleKey {
            name: "cmd",
            field: "cmd",
            kind: KeyKind::Word(&[
                Word { name: "READ", covers: &["READ"] },
                Word { name: "WRITE", covers: &["WRITE"] },
                Word { name: "HALT", covers: &["HALT"] },
                Word { name: "RESET", covers: &["RESET"] },
            ]),
        },
        RuleKey { name: "file", field: "file", kind: KeyKind::Regex },
    ],
    check,
    parser: || Box::new(parser::R2d2Parser::new()),
};

/// Only READ and WRITE name a file.
fn check(conditions: &[Condition<'_>]) -> Result<(), RuleError> {
    let value = |name| conditions.iter().find(|c| c.key.name == name).map(|c| c.value);
    match (value("cmd"), value("file")) {
        (Some(cmd @ ("HALT" | "RESET")), Some(_)) => Err(RuleError::Combination(format!(
            "`cmd: {cmd}` names no file, so a rule that asks for one matches nothing: leave `file` out"
        ))),
        _ => Ok(()),
    }
}
