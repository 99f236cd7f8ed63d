//! The rule keys: what a statement does, and to which table.

use std::sync::LazyLock;

use super::{cql::Class, parser::CassandraParser};
use crate::contract::{Condition, KeyKind, Protocol, RuleError, RuleKey, Word};

/// The protocol as policy sees it.
pub static PROTOCOL: Protocol = Protocol {
    name: "cassandra",
    keys: &[
        RuleKey { name: "query_action", field: "query_action", kind: KeyKind::Word(ACTIONS) },
        RuleKey { name: "query_table", field: "query_table", kind: KeyKind::Regex },
    ],
    check,
    parser: || Box::new(CassandraParser::default()),
};

/// What `query_action` may say: Cilium's words and, behind them, those of
/// statements that Cilium did not know. A rule with a table and no action is
/// about the first eight.
const ACTIONS: &[Word] = &[
    Word { name: "", covers: TABLE_ACTIONS },
    Word { name: "select", covers: &["select"] },
    Word { name: "insert", covers: &["insert"] },
    Word { name: "update", covers: &["update"] },
    Word { name: "delete", covers: &["delete"] },
    Word { name: "create-table", covers: &["create-table"] },
    Word { name: "alter-table", covers: &["alter-table"] },
    Word { name: "drop-table", covers: &["drop-table"] },
    Word { name: "truncate-table", covers: &["truncate-table"] },
    Word { name: "use", covers: &["use"] },
    Word { name: "create-keyspace", covers: &["create-keyspace"] },
    Word { name: "alter-keyspace", covers: &["alter-keyspace"] },
    Word { name: "drop-keyspace", covers: &["drop-keyspace"] },
    Word { name: "create-index", covers: &["create-index"] },
    Word { name: "drop-index", covers: &["drop-index"] },
    Word { name: "create-materialized-view", covers: &["create-materialized-view"] },
    Word { name: "drop-materialized-view", covers: &["drop-materialized-view"] },
    Word { name: "create-trigger", covers: &["create-trigger"] },
    Word { name: "drop-trigger", covers: &["drop-trigger"] },
    Word { name: "create-type", covers: &["create-type"] },
    Word { name: "alter-type", covers: &["alter-type"] },
    Word { name: "drop-type", covers: &["drop-type"] },
    Word { name: "create-function", covers: &["create-function"] },
    Word { name: "drop-function", covers: &["drop-function"] },
    Word { name: "create-aggregate", covers: &["create-aggregate"] },
    Word { name: "drop-aggregate", covers: &["drop-aggregate"] },
    Word { name: "create-role", covers: &["create-role"] },
    Word { name: "alter-role", covers: &["alter-role"] },
    Word { name: "drop-role", covers: &["drop-role"] },
    Word { name: "grant-role", covers: &["grant-role"] },
    Word { name: "revoke-role", covers: &["revoke-role"] },
    Word { name: "list-roles", covers: &["list-roles"] },
    Word { name: "grant-permission", covers: &["grant-permission"] },
    Word { name: "revoke-permission", covers: &["revoke-permission"] },
    Word { name: "list-permissions", covers: &["list-permissions"] },
    Word { name: "create-user", covers: &["create-user"] },
    Word { name: "alter-user", covers: &["alter-user"] },
    Word { name: "drop-user", covers: &["drop-user"] },
    Word { name: "list-users", covers: &["list-users"] },
    Word { name: "alter-materialized-view", covers: &["alter-materialized-view"] },
    Word { name: "add-identity", covers: &["add-identity"] },
    Word { name: "drop-identity", covers: &["drop-identity"] },
    Word { name: "list-superusers", covers: &["list-superusers"] },
    Word { name: "describe", covers: &["describe"] },
];

const TABLE_ACTIONS: &[&str] = &[
    "select",
    "insert",
    "update",
    "delete",
    "create-table",
    "alter-table",
    "drop-table",
    "truncate-table",
];

/// Refuses a table beside an action that is about none: the rule would match
/// nothing.
fn check(conditions: &[Condition<'_>]) -> Result<(), RuleError> {
    let value = |name: &str| {
        let condition = conditions.iter().find(|condition| condition.key.name == name);
        condition.map(|condition| condition.value)
    };
    let (Some(action), Some(_)) = (value("query_action"), value("query_table")) else {
        return Ok(());
    };
    if BARE.contains(&action) {
        return Err(RuleError::Combination(format!(
            "`query_action: {action}` is about no table, so a rule with `query_table` matches \
             nothing: leave it out"
        )));
    }
    Ok(())
}

static BARE: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let bare = super::cql::actions().filter(|(_, class)| *class == Class::Bare);
    bare.map(|(action, _)| action).collect()
});

#[cfg(test)]
mod tests {
    use super::{super::cql::actions, ACTIONS, Class, TABLE_ACTIONS};

    #[test]
    fn rules_and_statements_have_the_same_words() {
        let mut known: Vec<_> = actions().map(|(action, _)| action).collect();
        let mut words: Vec<_> = ACTIONS.iter().map(|word| word.name).collect();
        known.push("");
        known.sort_unstable();
        words.sort_unstable();
        assert_eq!(known, words);
        let tables = actions().filter(|(_, class)| *class == Class::Table);
        assert!(tables.map(|(action, _)| action).all(|action| TABLE_ACTIONS.contains(&action)));
        for word in ACTIONS.iter().filter(|word| !word.name.is_empty()) {
            assert_eq!(word.covers, [word.name]);
        }
    }
}
