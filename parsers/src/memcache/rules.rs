//! The rule keys: the commands, Cilium's groups of them, and the keys they name.

use super::parser::TextParser;
use crate::contract::{Condition, KeyKind, Protocol, RuleError, RuleKey, Word};

/// The protocol as policy sees it.
pub static PROTOCOL: Protocol = Protocol {
    name: "memcache",
    keys: &[
        RuleKey { name: "command", field: "command", kind: KeyKind::Word(COMMANDS) },
        RuleKey { name: "keyExact", field: "key", kind: KeyKind::Exact },
        RuleKey { name: "keyPrefix", field: "key", kind: KeyKind::Prefix },
        RuleKey { name: "keyRegex", field: "key", kind: KeyKind::Regex },
    ],
    check,
    parser: || Box::new(TextParser::new()),
};

/// What `command` may say, with the commands of the wire that it covers. The
/// groups and their members are Cilium's; `gets` alone is ours.
const COMMANDS: &[Word] = &[
    Word { name: "add", covers: &["add"] },
    Word { name: "set", covers: &["set"] },
    Word { name: "replace", covers: &["replace"] },
    Word { name: "append", covers: &["append"] },
    Word { name: "prepend", covers: &["prepend"] },
    Word { name: "cas", covers: &["cas"] },
    Word { name: "incr", covers: &["incr"] },
    Word { name: "decr", covers: &["decr"] },
    Word {
        name: "storage",
        covers: &["add", "set", "replace", "append", "prepend", "cas", "incr", "decr"],
    },
    Word { name: "get", covers: &["get", "gets"] },
    Word { name: "gets", covers: &["gets"] },
    Word { name: "delete", covers: &["delete"] },
    Word { name: "touch", covers: &["touch"] },
    Word { name: "gat", covers: &["gat", "gats"] },
    Word {
        name: "writeGroup",
        covers: &[
            "add", "set", "replace", "append", "prepend", "cas", "incr", "decr", "delete", "touch",
        ],
    },
    Word { name: "slabs", covers: &["slabs"] },
    Word { name: "lru", covers: &["lru"] },
    Word { name: "lru_crawler", covers: &["lru_crawler"] },
    Word { name: "watch", covers: &["watch"] },
    Word { name: "stats", covers: &["stats"] },
    Word { name: "flush_all", covers: &["flush_all"] },
    Word { name: "cache_memlimit", covers: &["cache_memlimit"] },
    Word { name: "verbosity", covers: &["verbosity"] },
    Word { name: "version", covers: &["version"] },
    Word { name: "quit", covers: &["quit"] },
];

/// Commands that name no key.
const KEYLESS: &[&str] = &[
    "slabs",
    "lru",
    "lru_crawler",
    "watch",
    "stats",
    "flush_all",
    "cache_memlimit",
    "verbosity",
    "version",
    "quit",
];

/// One key condition at most, and only beside a command that has keys.
fn check(conditions: &[Condition<'_>]) -> Result<(), RuleError> {
    let mut keys = conditions.iter().filter(|condition| condition.key.field == "key");
    let Some(key) = keys.next() else { return Ok(()) };
    if let Some(second) = keys.next() {
        return Err(RuleError::Combination(format!(
            "`{}` and `{}` in one rule: write one of them, or two rules",
            key.key.name, second.key.name
        )));
    }
    let command = conditions.iter().find(|condition| condition.key.name == "command");
    match command.map(|command| command.value).unwrap_or_default() {
        "" => Err(RuleError::Combination(format!(
            "`{}` without a command: add `command: get`, `command: writeGroup` or another",
            key.key.name
        ))),
        command if KEYLESS.contains(&command) => Err(RuleError::Combination(format!(
            "`command: {command}` names no key, so a rule with `{}` matches nothing: leave it out",
            key.key.name
        ))),
        _ => Ok(()),
    }
}
