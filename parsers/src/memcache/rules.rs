//! The rule keys: the commands, Cilium's groups of them, and the keys they name.

use super::connection::MemcacheParser;
use crate::contract::{Condition, KeyKind, Protocol, RuleError, RuleKey, Word};

/// The protocol as policy sees it.
pub static PROTOCOL: Protocol = Protocol {
    name: "memcache",
    keys: &[
        RuleKey { name: "command", field: "command", kind: KeyKind::Word(COMMANDS) },
        RuleKey { name: "keyExact", field: "key", kind: KeyKind::Exact },
        RuleKey { name: "keyPrefix", field: "key", kind: KeyKind::Prefix },
        RuleKey { name: "keyRegex", field: "key", kind: KeyKind::Regex },
        RuleKey { name: "protocol", field: "protocol", kind: KeyKind::Word(PROTOCOLS) },
    ],
    check,
    parser: || Box::new(MemcacheParser::Undecided),
};

/// What `protocol` may say.
const PROTOCOLS: &[Word] = &[
    Word { name: "text", covers: &["text"] },
    Word { name: "meta", covers: &["meta"] },
    Word { name: "binary", covers: &["binary"] },
];

/// What `command` may say, with the commands that it covers. `storage` and
/// `writeGroup` are Cilium's; `readWriteGroup` and the words below `quit` are
/// ours. No group covers a command that names no key.
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
    Word { name: "gats", covers: &["gats"] },
    Word {
        name: "writeGroup",
        covers: &[
            "add", "set", "replace", "append", "prepend", "cas", "incr", "decr", "delete", "touch",
        ],
    },
    Word {
        name: "readWriteGroup",
        covers: &[
            "add", "set", "replace", "append", "prepend", "cas", "incr", "decr", "delete", "touch",
            "get", "gets", "gat", "gats",
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
    Word { name: "me", covers: &["me"] },
    Word { name: "noop", covers: &["noop"] },
    Word { name: "sasl", covers: &["sasl"] },
    Word { name: "shutdown", covers: &["shutdown"] },
    Word { name: "lru_crawler_dump", covers: &["lru_crawler_dump"] },
    Word { name: "stats_cachedump", covers: &["stats_cachedump"] },
    Word { name: "stats_conns", covers: &["stats_conns"] },
    Word { name: "stats_detail", covers: &["stats_detail"] },
    Word { name: "stats_reset", covers: &["stats_reset"] },
];

/// Commands that name no key.
const KEYLESS: &[&str] = &[
    "slabs",
    "lru",
    "lru_crawler",
    "lru_crawler_dump",
    "watch",
    "stats",
    "stats_cachedump",
    "stats_conns",
    "stats_detail",
    "stats_reset",
    "flush_all",
    "cache_memlimit",
    "verbosity",
    "version",
    "quit",
    "noop",
    "sasl",
    "shutdown",
];

/// Commands that a protocol cannot express, so that a rule for both is none.
const UNSPOKEN: &[(&str, &[&str])] = &[
    ("text", &["me", "noop", "sasl"]),
    (
        "meta",
        &[
            "touch",
            "slabs",
            "lru",
            "lru_crawler",
            "lru_crawler_dump",
            "watch",
            "stats",
            "stats_cachedump",
            "stats_conns",
            "stats_detail",
            "stats_reset",
            "flush_all",
            "cache_memlimit",
            "verbosity",
            "version",
            "quit",
            "sasl",
            "shutdown",
        ],
    ),
    (
        "binary",
        &[
            "gets",
            "gats",
            "me",
            "slabs",
            "lru",
            "lru_crawler",
            "lru_crawler_dump",
            "watch",
            "cache_memlimit",
            "verbosity",
            "shutdown",
        ],
    ),
];

/// Refuses what can match nothing: two key conditions, one without a command
/// that has keys, and a command that the rule's protocol does not have.
fn check(conditions: &[Condition<'_>]) -> Result<(), RuleError> {
    let value = |name: &str| {
        let condition = conditions.iter().find(|condition| condition.key.name == name);
        condition.map(|condition| condition.value).unwrap_or_default()
    };
    let (command, protocol) = (value("command"), value("protocol"));
    if UNSPOKEN.iter().any(|(name, commands)| *name == protocol && commands.contains(&command)) {
        return Err(RuleError::Combination(format!(
            "`protocol: {protocol}` has no `{command}`, so the rule matches nothing: leave one out"
        )));
    }
    check_keys(conditions, command)
}

fn check_keys(conditions: &[Condition<'_>], command: &str) -> Result<(), RuleError> {
    let mut keys = conditions.iter().filter(|condition| condition.key.field == "key");
    let Some(key) = keys.next() else { return Ok(()) };
    if let Some(second) = keys.next() {
        return Err(RuleError::Combination(format!(
            "`{}` and `{}` in one rule: write one of them, or two rules",
            key.key.name, second.key.name
        )));
    }
    match command {
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
