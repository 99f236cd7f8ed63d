//! What the judge is asked about a request.

use std::collections::BTreeSet;

use super::{cql::Part, frame::Opcode};
use crate::contract::{Field, Judge, Request, Value, Verdict, Words};

/// Asks about all that a request does. Gives what is denied first.
pub(super) fn ask<'p>(
    judge: &mut dyn Judge,
    opcode: Opcode,
    parts: &'p BTreeSet<Part>,
) -> Option<&'p Part> {
    if let (1, Some(part)) = (parts.len(), parts.first()) {
        let verdict = judge.judge(&request(&fields(opcode, part), part, opcode));
        return (verdict == Verdict::Deny).then_some(part);
    }
    let fields: Vec<_> = parts.iter().map(|part| (fields(opcode, part), part)).collect();
    let requests: Vec<_> =
        fields.iter().map(|(fields, part)| request(fields, part, opcode)).collect();
    let denied = judge.judge_together(&requests)?;
    parts.iter().nth(denied)
}

/// Records that a request was answered with an error without being judged.
pub(super) fn refuse(judge: &mut dyn Judge, opcode: Opcode, why: &'static str) {
    judge.refused(&Request::new(&[field_of(opcode)]), why);
}

fn fields(opcode: Opcode, part: &Part) -> [Field<'_>; 3] {
    [
        field_of(opcode),
        Field { name: "query_action", value: Value::One(part.action.as_bytes()) },
        Field { name: "query_table", value: Value::Words(Words::new(part.tables.as_bytes())) },
    ]
}

fn field_of(opcode: Opcode) -> Field<'static> {
    Field { name: "opcode", value: Value::One(opcode.name()) }
}

/// The log leaves out the opcode where it is `QUERY`, and a table that is none.
fn request<'a>(fields: &'a [Field<'a>; 3], part: &Part, opcode: Opcode) -> Request<'a> {
    let named =
        if part.tables.is_empty() { fields.split_last().map(|(_, rest)| rest) } else { None };
    let known = named.unwrap_or(fields);
    let (unlogged, logged) =
        known.split_at_checked(usize::from(opcode == Opcode::Query)).unwrap_or((&[], known));
    Request { fields: logged, unlogged }
}
