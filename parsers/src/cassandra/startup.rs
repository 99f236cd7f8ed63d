//! `STARTUP` and `REGISTER`: requests without a statement whose words are known
//! beforehand.

use super::{
    answer::Refusal,
    wire::{Flaw, Reader},
};

/// Options that change nothing in what requests mean: who the client is, and
/// how the server treats it.
const HARMLESS: [&str; 9] = [
    "APPLICATION_NAME",
    "APPLICATION_VERSION",
    "CLIENT_ID",
    "CQL_VERSION",
    "DRIVER_BAGGAGE",
    "DRIVER_NAME",
    "DRIVER_VERSION",
    "NO_COMPACT",
    "THROW_ON_OVERLOAD",
];

/// The kinds of events (section 4.2.6).
const EVENTS: [&str; 3] = ["TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"];

/// Reads `STARTUP`; says whether it can be had.
pub(super) fn startup(body: &mut Reader<'_>) -> Result<Result<(), Refusal>, Flaw> {
    let mut seen = Vec::new();
    for _ in 0..body.short()? {
        let (name, _value) = (body.string()?, body.string()?);
        if seen.contains(&name) {
            return Err(Flaw::Malformed("an option that is given twice"));
        }
        if name != COMPRESSION && !HARMLESS.contains(&name) {
            return Err(Flaw::Malformed("an option of STARTUP that is unknown"));
        }
        seen.push(name);
    }
    body.end()?;
    if !seen.contains(&"CQL_VERSION") {
        return Err(Flaw::Malformed("STARTUP without CQL_VERSION"));
    }
    if seen.contains(&COMPRESSION) {
        return Ok(Err(Refusal::protocol("compression is not offered: leave COMPRESSION out")));
    }
    Ok(Ok(()))
}

/// The option by which a client asks for compression, and by which a server
/// offers it.
pub(super) const COMPRESSION: &str = "COMPRESSION";

/// Reads `REGISTER`.
pub(super) fn register(body: &mut Reader<'_>) -> Result<(), Flaw> {
    let kinds = body.string_list()?;
    if kinds.is_empty() || !kinds.iter().all(|kind| EVENTS.contains(kind)) {
        return Err(Flaw::Malformed("a kind of event that is unknown"));
    }
    body.end()
}

/// Reads `AUTH_RESPONSE`, whose token is nobody's business.
pub(super) fn auth_response(body: &mut Reader<'_>) -> Result<(), Flaw> {
    let length = body.int()?;
    if length != -1 {
        body.take(usize::try_from(length).map_err(|_| "a token of negative length")?)?;
    }
    body.end()
}
