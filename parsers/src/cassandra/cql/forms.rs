//! All statements of CQL 3.4.7: how each begins, and where it names its tables.
//!
//! A form goes as far as it takes to know the tables and to tell the statement
//! from every other; the rest is only cut into tokens. Source: the grammar of
//! Cassandra 5.0, whose reserved words make the heads unambiguous.

/// What a statement is about, and so what its `query_table` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Class {
    /// A table, in the ways that a rule with tables alone is about.
    Table,
    /// A table too, but only a rule that names the action is about it.
    Named,
    /// A keyspace: `query_table` is its name alone.
    Keyspace,
    /// Neither: there is no `query_table`.
    Bare,
}

/// One piece of a statement's head.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// This keyword.
    Word(&'static str),
    /// One of these keywords.
    OneOf(&'static [&'static str]),
    /// These keywords, or none of them.
    Maybe(&'static [&'static str]),
    /// A table that the statement is about.
    Table,
    /// A keyspace that the statement is about.
    Keyspace,
    /// A name of something else.
    Name,
    /// A name of something else, if no such keyword stands here.
    NameUnless(&'static str),
    /// A name of something else, perhaps with its keyspace.
    Qualified,
    /// A role: a name or a string.
    Role,
    /// Whatever there is up to this keyword, and the keyword.
    Upto(&'static str),
    /// What has to follow the head: keywords, signs, or the end (empty).
    Then(&'static [&'static str]),
}

/// A statement: its action in rules and log, and its head.
pub(super) struct Form {
    pub(super) action: &'static str,
    pub(super) class: Class,
    pub(super) head: &'static [Step],
}

use Class::{Bare, Keyspace, Named, Table};
use Step::{Maybe, Name, NameUnless, OneOf, Qualified, Role, Then, Upto, Word};

const IF_EXISTS: Step = Maybe(&["IF", "EXISTS"]);
const IF_NOT_EXISTS: Step = Maybe(&["IF", "NOT", "EXISTS"]);
const TABLE: Step = OneOf(&["TABLE", "COLUMNFAMILY"]);
const KEYSPACE: Step = OneOf(&["KEYSPACE", "SCHEMA"]);
const OR_REPLACE: Step = Maybe(&["OR", "REPLACE"]);
const END: Step = Then(&[""]);
const PERMISSIONS: Step = OneOf(&[
    "ALL",
    "CREATE",
    "ALTER",
    "DROP",
    "SELECT",
    "MODIFY",
    "AUTHORIZE",
    "DESCRIBE",
    "EXECUTE",
    "UNMASK",
    "SELECT_MASKED",
]);

const fn form(action: &'static str, class: Class, head: &'static [Step]) -> Form {
    Form { action, class, head }
}

/// The forms; the first that fits is the statement's. `BEGIN BATCH` is no form:
/// it is the statements inside.
#[rustfmt::skip]
pub(super) static FORMS: [Form; 51] = [
    form("select", Table, &[Word("SELECT"), Upto("FROM"), Step::Table,
        Then(&["WHERE", "GROUP", "ORDER", "PER", "LIMIT", "ALLOW", ""])]),
    form("insert", Table, &[Word("INSERT"), Word("INTO"), Step::Table, Then(&["(", "JSON"])]),
    form("update", Table, &[Word("UPDATE"), Step::Table, Then(&["USING", "SET"])]),
    form("delete", Table, &[Word("DELETE"), Upto("FROM"), Step::Table, Then(&["USING", "WHERE"])]),
    form("use", Keyspace, &[Word("USE"), Step::Keyspace, END]),
    form("truncate-table", Table, &[Word("TRUNCATE"), Maybe(&["TABLE"]), Maybe(&["COLUMNFAMILY"]), Step::Table, END]),
    form("create-table", Table, &[Word("CREATE"), TABLE, IF_NOT_EXISTS, Step::Table, Then(&["("])]),
    form("alter-table", Table, &[Word("ALTER"), TABLE, IF_EXISTS, Step::Table,
        Then(&["ALTER", "ADD", "DROP", "RENAME", "WITH"])]),
    form("drop-table", Table, &[Word("DROP"), TABLE, IF_EXISTS, Step::Table, END]),
    form("create-keyspace", Keyspace, &[Word("CREATE"), KEYSPACE, IF_NOT_EXISTS, Step::Keyspace, Then(&["WITH"])]),
    form("alter-keyspace", Keyspace, &[Word("ALTER"), KEYSPACE, IF_EXISTS, Step::Keyspace, Then(&["WITH"])]),
    form("drop-keyspace", Keyspace, &[Word("DROP"), KEYSPACE, IF_EXISTS, Step::Keyspace, END]),
    form("create-index", Named, &[Word("CREATE"), Maybe(&["CUSTOM"]), Word("INDEX"), IF_NOT_EXISTS,
        NameUnless("ON"), Word("ON"), Step::Table, Then(&["("])]),
    form("drop-index", Bare, &[Word("DROP"), Word("INDEX"), IF_EXISTS, Qualified, END]),
    form("create-materialized-view", Named, &[Word("CREATE"), Word("MATERIALIZED"), Word("VIEW"), IF_NOT_EXISTS,
        Step::Table, Word("AS"), Word("SELECT"), Upto("FROM"), Step::Table, Then(&["WHERE", "PRIMARY"])]),
    form("alter-materialized-view", Named, &[Word("ALTER"), Word("MATERIALIZED"), Word("VIEW"), IF_EXISTS,
        Step::Table, Then(&["WITH"])]),
    form("drop-materialized-view", Named, &[Word("DROP"), Word("MATERIALIZED"), Word("VIEW"), IF_EXISTS, Step::Table, END]),
    form("create-trigger", Named, &[Word("CREATE"), Word("TRIGGER"), IF_NOT_EXISTS, Name, Word("ON"), Step::Table, Then(&["USING"])]),
    form("drop-trigger", Named, &[Word("DROP"), Word("TRIGGER"), IF_EXISTS, Name, Word("ON"), Step::Table, END]),
    form("create-type", Bare, &[Word("CREATE"), Word("TYPE"), IF_NOT_EXISTS, Qualified, Then(&["("])]),
    form("alter-type", Bare, &[Word("ALTER"), Word("TYPE"), IF_EXISTS, Qualified, Then(&["ALTER", "ADD", "RENAME"])]),
    form("drop-type", Bare, &[Word("DROP"), Word("TYPE"), IF_EXISTS, Qualified, END]),
    form("create-function", Bare, &[Word("CREATE"), OR_REPLACE, Word("FUNCTION"), IF_NOT_EXISTS, Qualified, Then(&["("])]),
    form("drop-function", Bare, &[Word("DROP"), Word("FUNCTION"), IF_EXISTS, Qualified, Then(&["(", ""])]),
    form("create-aggregate", Bare, &[Word("CREATE"), OR_REPLACE, Word("AGGREGATE"), IF_NOT_EXISTS, Qualified, Then(&["("])]),
    form("drop-aggregate", Bare, &[Word("DROP"), Word("AGGREGATE"), IF_EXISTS, Qualified, Then(&["(", ""])]),
    form("create-role", Bare, &[Word("CREATE"), Word("ROLE"), IF_NOT_EXISTS, Role, Then(&["WITH", ""])]),
    form("alter-role", Bare, &[Word("ALTER"), Word("ROLE"), IF_EXISTS, Role, Then(&["WITH", ""])]),
    form("drop-role", Bare, &[Word("DROP"), Word("ROLE"), IF_EXISTS, Role, END]),
    form("create-user", Bare, &[Word("CREATE"), Word("USER"), IF_NOT_EXISTS, Role,
        Then(&["WITH", "SUPERUSER", "NOSUPERUSER", ""])]),
    form("alter-user", Bare, &[Word("ALTER"), Word("USER"), IF_EXISTS, Role,
        Then(&["WITH", "SUPERUSER", "NOSUPERUSER", ""])]),
    form("drop-user", Bare, &[Word("DROP"), Word("USER"), IF_EXISTS, Role, END]),
    form("add-identity", Bare, &[Word("ADD"), Word("IDENTITY"), IF_NOT_EXISTS, Role, Word("TO"), Word("ROLE"), Role, END]),
    form("drop-identity", Bare, &[Word("DROP"), Word("IDENTITY"), IF_EXISTS, Role, END]),
    form("grant-role", Bare, &[Word("GRANT"), Role, Word("TO"), Role, END]),
    form("revoke-role", Bare, &[Word("REVOKE"), Role, Word("FROM"), Role, END]),
    form("grant-permission", Bare, &[Word("GRANT"), PERMISSIONS, Upto("ON"), Upto("TO"), Role, END]),
    form("revoke-permission", Bare, &[Word("REVOKE"), PERMISSIONS, Upto("ON"), Upto("FROM"), Role, END]),
    form("list-roles", Bare, &[Word("LIST"), Word("ROLES"), Then(&["OF", "NORECURSIVE", ""])]),
    form("list-users", Bare, &[Word("LIST"), Word("USERS"), END]),
    form("list-superusers", Bare, &[Word("LIST"), Word("SUPERUSERS"), END]),
    form("list-permissions", Bare, &[Word("LIST"), PERMISSIONS,
        Then(&["PERMISSIONS", "PERMISSION", ",", "ON", "OF", "NORECURSIVE", ""])]),
    form("describe", Bare, &[DESCRIBE, Word("CLUSTER"), Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, Maybe(&["FULL"]), Word("SCHEMA"), Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, OneOf(&["KEYSPACES", "TABLES", "TYPES", "FUNCTIONS", "AGGREGATES"]),
        Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, Maybe(&["ONLY"]), Word("KEYSPACE"), Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, Maybe(&["ONLY"]), Word("KEYSPACE"), Name, Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, TABLE, Qualified, Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, OneOf(&["INDEX", "TYPE", "FUNCTION", "AGGREGATE"]), Qualified, Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, Word("MATERIALIZED"), Word("VIEW"), Qualified, Then(&["WITH", ""])]),
    form("describe", Bare, &[DESCRIBE, Qualified, Then(&["WITH", ""])]),
];

const DESCRIBE: Step = OneOf(&["DESCRIBE", "DESC"]);

/// Words that are no names unless they are quoted.
pub(super) const RESERVED: &[&str] = &[
    "ADD",
    "ALLOW",
    "ALTER",
    "AND",
    "APPLY",
    "ASC",
    "AUTHORIZE",
    "BATCH",
    "BEGIN",
    "BY",
    "COLUMNFAMILY",
    "CREATE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DROP",
    "ENTRIES",
    "EXECUTE",
    "FROM",
    "FULL",
    "GRANT",
    "IF",
    "IN",
    "INDEX",
    "INFINITY",
    "INSERT",
    "INTO",
    "IS",
    "KEYSPACE",
    "LIMIT",
    "MATERIALIZED",
    "MODIFY",
    "NAN",
    "NORECURSIVE",
    "NOT",
    "NULL",
    "OF",
    "ON",
    "OR",
    "ORDER",
    "PRIMARY",
    "RENAME",
    "REVOKE",
    "SCHEMA",
    "SELECT",
    "SET",
    "TABLE",
    "TO",
    "TOKEN",
    "TRUNCATE",
    "UNLOGGED",
    "UPDATE",
    "USE",
    "USING",
    "VIEW",
    "WHERE",
    "WITH",
];

/// Every action with its class, each once.
pub(in super::super) fn actions() -> impl Iterator<Item = (&'static str, Class)> {
    let first = |(index, form): (usize, &'static Form)| {
        let before = FORMS.iter().take(index);
        (!before.clone().any(|earlier| earlier.action == form.action))
            .then_some((form.action, form.class))
    };
    FORMS.iter().enumerate().filter_map(first)
}
