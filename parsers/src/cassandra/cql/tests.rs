//! Statements, and texts that are none.

use super::{Part, read};

/// `action tables` of what a text does, with `app` in use.
fn does(text: &str) -> Result<Vec<String>, &'static str> {
    let statement = read(text, Some("app")).map_err(|refusal| refusal.why)?;
    let show = |Part { action, tables }: &Part| format!("{action} {tables}").trim_end().to_owned();
    Ok(statement.parts.iter().map(show).collect())
}

fn one(text: &str) -> String {
    match does(text) {
        Ok(parts) if parts.len() == 1 => parts.concat(),
        other => panic!("{text}: {other:?}"),
    }
}

/// Every statement of the grammar, in the forms that it has.
const ALL: &[(&str, &str)] = &[
    ("SELECT * FROM ks.t", "select ks.t"),
    ("select json a, b as c from T where k = ? limit 1;", "select app.t"),
    ("SELECT DISTINCT k FROM ks.t", "select ks.t"),
    (
        "SELECT count(*), CAST(a AS text), m['from'], s{1, 2} FROM ks.t PER PARTITION LIMIT 2",
        "select ks.t",
    ),
    (
        "SELECT (int)a, [1, b], {k: v} FROM ks.t GROUP BY a ORDER BY b ASC ALLOW FILTERING",
        "select ks.t",
    ),
    ("SELECT v FROM ks.t ORDER BY v ANN OF [1.5, -2e-3] LIMIT 3", "select ks.t"),
    ("INSERT INTO ks.t (a, b) VALUES (1, 'x') USING TTL 5", "insert ks.t"),
    ("INSERT INTO t JSON '{\"a\": 1}' DEFAULT UNSET", "insert app.t"),
    ("UPDATE ks.t USING TIMESTAMP 5 SET a = a + 1 WHERE k = 1h30m", "update ks.t"),
    ("DELETE a, b[1] FROM ks.t USING TIMESTAMP 5 WHERE k = :named", "delete ks.t"),
    ("DELETE FROM ks.t WHERE k = 0xCAFE", "delete ks.t"),
    ("USE ks", "use ks"),
    ("USE \"Ks\";;", "use Ks"),
    ("TRUNCATE ks.t", "truncate-table ks.t"),
    ("TRUNCATE TABLE t", "truncate-table app.t"),
    (
        "CREATE TABLE IF NOT EXISTS ks.t (k int PRIMARY KEY, v vector<float, 3>) WITH comment = 'x'",
        "create-table ks.t",
    ),
    ("CREATE COLUMNFAMILY t (k int, PRIMARY KEY (k))", "create-table app.t"),
    ("ALTER TABLE IF EXISTS ks.t ADD IF NOT EXISTS c text MASKED WITH DEFAULT", "alter-table ks.t"),
    ("ALTER TABLE t DROP c USING TIMESTAMP 5", "alter-table app.t"),
    ("DROP TABLE IF EXISTS ks.t", "drop-table ks.t"),
    (
        "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'SimpleStrategy'}",
        "create-keyspace ks",
    ),
    ("CREATE SCHEMA ks WITH replication = {}", "create-keyspace ks"),
    ("ALTER KEYSPACE IF EXISTS ks WITH durable_writes = false", "alter-keyspace ks"),
    ("DROP KEYSPACE IF EXISTS ks", "drop-keyspace ks"),
    ("CREATE INDEX ON ks.t (a)", "create-index ks.t"),
    (
        "CREATE CUSTOM INDEX IF NOT EXISTS i ON ks.t (keys(a)) USING 'x' WITH OPTIONS = {}",
        "create-index ks.t",
    ),
    ("DROP INDEX IF EXISTS ks.i", "drop-index"),
    (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS ks.v AS SELECT a FROM ks.t WHERE a IS NOT NULL PRIMARY KEY (a)",
        "create-materialized-view ks.v ks.t",
    ),
    ("ALTER MATERIALIZED VIEW ks.v WITH comment = ''", "alter-materialized-view ks.v"),
    ("DROP MATERIALIZED VIEW IF EXISTS v", "drop-materialized-view app.v"),
    ("CREATE TRIGGER IF NOT EXISTS g ON ks.t USING 'x'", "create-trigger ks.t"),
    ("DROP TRIGGER IF EXISTS g ON ks.t", "drop-trigger ks.t"),
    ("CREATE TYPE IF NOT EXISTS ks.u (a int)", "create-type"),
    ("ALTER TYPE IF EXISTS u RENAME a TO b", "alter-type"),
    ("DROP TYPE ks.u", "drop-type"),
    (
        "CREATE OR REPLACE FUNCTION ks.f (a int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS $$ return a; /* ' */ $$",
        "create-function",
    ),
    ("DROP FUNCTION IF EXISTS ks.f (int)", "drop-function"),
    ("CREATE AGGREGATE ks.g (int) SFUNC f STYPE int INITCOND 0", "create-aggregate"),
    ("DROP AGGREGATE ks.g", "drop-aggregate"),
    ("CREATE ROLE IF NOT EXISTS 'r' WITH PASSWORD = 'from' AND LOGIN = true", "create-role"),
    ("ALTER ROLE r WITH SUPERUSER = false AND ACCESS TO DATACENTERS {'a'}", "alter-role"),
    ("DROP ROLE IF EXISTS r", "drop-role"),
    ("CREATE USER u WITH PASSWORD 'x' NOSUPERUSER", "create-user"),
    ("ALTER USER u SUPERUSER", "alter-user"),
    ("DROP USER u", "drop-user"),
    ("ADD IDENTITY IF NOT EXISTS 'i' TO ROLE 'r'", "add-identity"),
    ("DROP IDENTITY 'i'", "drop-identity"),
    ("GRANT r TO s", "grant-role"),
    ("GRANT list TO s", "grant-role"),
    ("REVOKE r FROM s", "revoke-role"),
    ("GRANT SELECT ON ks.t TO r", "grant-permission"),
    ("GRANT ALL PERMISSIONS ON ALL FUNCTIONS IN KEYSPACE ks TO r", "grant-permission"),
    ("REVOKE MODIFY PERMISSION, ALTER ON KEYSPACE ks FROM r", "revoke-permission"),
    ("LIST ROLES OF r NORECURSIVE", "list-roles"),
    ("LIST USERS", "list-users"),
    ("LIST SUPERUSERS", "list-superusers"),
    ("LIST ALL PERMISSIONS ON ks.t OF r", "list-permissions"),
    ("LIST ALL", "list-permissions"),
    ("DESCRIBE CLUSTER", "describe"),
    ("DESC FULL SCHEMA", "describe"),
    ("DESCRIBE ONLY KEYSPACE ks WITH INTERNALS", "describe"),
    ("DESCRIBE KEYSPACE", "describe"),
    ("DESC TABLES", "describe"),
    ("DESCRIBE TABLE ks.t", "describe"),
    ("DESCRIBE MATERIALIZED VIEW v", "describe"),
    ("DESCRIBE ks.anything", "describe"),
];

#[test]
fn every_statement_tells_its_action_and_tables() {
    for (text, expected) in ALL {
        assert_eq!(one(text), *expected, "{text}");
        let odd = format!("/* FROM x.y */ {} -- FROM a.b\r", text.replace(' ', "\t\n "));
        assert_eq!(one(&odd), *expected, "{odd}");
        assert_eq!(one(&format!("{text} ; ;")), *expected);
    }
    let seen: std::collections::BTreeSet<_> =
        ALL.iter().filter_map(|(_, does)| does.split(' ').next()).collect();
    let missing: Vec<_> = super::actions().filter(|(action, _)| !seen.contains(action)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Threats row 49: a table that stands where only the server would not see it.
#[test]
fn row_49_strings_comments_and_quotes_hide_nothing() {
    for (text, table) in [
        ("SELECT * FROM secret.t WHERE x = ' from public.t '", "secret.t"),
        ("SELECT * FROM secret.t WHERE x = ' it''s from public.t '", "secret.t"),
        ("SELECT * FROM secret.t WHERE x = $$ ' from public.t $$", "secret.t"),
        ("SELECT * FROM secret.t /* from public.t */", "secret.t"),
        ("SELECT * FROM /* public.t -- */ secret.t", "secret.t"),
        ("SELECT -- FROM public.t\n* FROM secret.t", "secret.t"),
        ("SELECT // FROM public.t\r* FROM secret.t", "secret.t"),
        ("SELECT \"a from public.t \" FROM secret.t", "secret.t"),
        ("SELECT \"a\"\" from public.t \" FROM secret.t", "secret.t"),
        ("SELECT ' from public.t ' FROM secret.t", "secret.t"),
        ("SELECT*FROM secret.t", "secret.t"),
        ("SELECT'x'FROM\"secret\".\"t\"", "secret.t"),
        (
            "SELECT 1, 1.5e3, deadbeef-0000-0000-0000-000000000000, P0001-02-03T04:05:06 FROM secret.t",
            "secret.t",
        ),
    ] {
        assert_eq!(one(text), format!("select {table}"), "{text}");
    }
    for text in [
        "SELECT 10from secret.t",
        "SELECT 1efrom secret.t",
        "SELECT * FROM secret.t -- no line feed",
        "SELECT * FROM secret.t // no line feed",
        "SELECT * FROM secret.t /* no end",
        "SELECT * FROM secret.t WHERE a = 'no end",
        "SELECT * FROM secret.t WHERE a = $$no end$",
        "SELECT * FROM secret.t WHERE a = \"no end",
        "SELECT (a FROM public.t) FROM secret.t",
        "SELECT * FROM secret.t, public.t",
        "SELECT * FROM secret.t public.t",
        "SELECT * FROM secret.t; SELECT * FROM public.t",
        "SELECT * FROM secret.t WHERE a = 1)",
        "SELECT * FROM secret.t WHERE a IN (1",
        "SELECT * FROM secret.t WHERE a = #",
        "SELECT * FROM secret.t\0",
        "SELECT * FROM ?",
        "SELECT * FROM ks.?",
        "SELECT * FROM sécret.t",
        "SELECT * FROM _t",
        "SELECT * FROM t\u{a0}WHERE a = 1",
    ] {
        assert!(does(text).is_err(), "{text}: {:?}", does(text));
    }
}

/// Threats rows 50 and 51.
#[test]
fn row_51_if_exists_is_no_table_and_keyspaces_are_none_either() {
    for (text, expected) in [
        ("ALTER TABLE IF EXISTS secret.t ADD c int", "alter-table secret.t"),
        ("DROP TABLE IF EXISTS secret.t", "drop-table secret.t"),
        ("TRUNCATE secret.t", "truncate-table secret.t"),
        ("DROP KEYSPACE secret", "drop-keyspace secret"),
        ("DROP KEYSPACE IF EXISTS secret", "drop-keyspace secret"),
    ] {
        assert_eq!(one(text), expected);
    }
    for text in
        ["DROP TABLE IF secret.t", "DROP TABLE IF NOT EXISTS t", "USE public x", "TRUNCATE if"]
    {
        assert!(does(text).is_err(), "{text}");
    }
}

/// Threats row 58.
#[test]
fn row_58_names_are_compared_as_the_server_knows_them() {
    for (text, table) in [
        ("SELECT * FROM Secret.T", "secret.t"),
        ("SELECT * FROM \"Secret\".\"T\"", "Secret.T"),
        ("SELECT * FROM \"secret\" . t", "secret.t"),
        ("SELECT * FROM T", "app.t"),
        ("SELECT * FROM keys.values", "keys.values"),
        ("SELECT * FROM \"select\".\"from\"", "select.from"),
    ] {
        assert_eq!(one(text), format!("select {table}"), "{text}");
    }
    for text in
        ["\"a.b\"", "ks.\"a b\"", "\"\"", "\"a\"\"b\"", "select.t", "ks.from", "a.b.c", "ks.", ".t"]
    {
        assert!(does(&format!("SELECT * FROM {text}")).is_err(), "{text}");
    }
    let longest = "t".repeat(crate::cassandra::MAX_NAME_BYTES);
    assert!(does(&format!("SELECT * FROM ks.{longest}")).is_ok());
    assert!(does(&format!("SELECT * FROM ks.{longest}t")).is_err());
    let why = read("SELECT * FROM t", None).map_err(|refusal| refusal.why);
    assert!(why.is_err_and(|why| why.contains("No keyspace")));
}

/// A condition that does not hold is answered with the row.
#[test]
fn a_conditional_write_reads_too() {
    for text in [
        "INSERT INTO ks.t (a) VALUES (1) IF NOT EXISTS",
        "INSERT INTO ks.t JSON '{}' IF NOT EXISTS USING TTL 1",
        "UPDATE ks.t SET a = 1 WHERE k = 1 IF a = 2",
        "UPDATE ks.t SET a = 1 WHERE k = 1 IF EXISTS",
        "DELETE FROM ks.t WHERE k = 1 IF EXISTS",
    ] {
        let parts = does(text).expect(text);
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert!(parts.contains(&"select ks.t".to_owned()), "{parts:?}");
    }
    assert_eq!(one("INSERT INTO ks.t (a) VALUES ('IF')"), "insert ks.t");
}

#[test]
fn a_batch_is_its_statements() {
    let parts = |text: &str| does(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let all = ["delete ks.c", "insert app.a", "update ks.b"].map(str::to_owned);
    let body = "INSERT INTO a (k) VALUES (1); UPDATE ks.b SET v = 'APPLY BATCH' WHERE k = 1 DELETE FROM ks.c WHERE k = 1;";
    for head in ["BEGIN BATCH", "BEGIN UNLOGGED BATCH USING TIMESTAMP 5", "begin counter batch"] {
        assert_eq!(parts(&format!("{head} {body} APPLY BATCH;")), all);
    }
    let conditional = "BEGIN BATCH INSERT INTO ks.t (a) VALUES (1) IF NOT EXISTS APPLY BATCH";
    assert_eq!(parts(conditional), ["insert ks.t", "select ks.t"]);
    for text in [
        "BEGIN BATCH APPLY BATCH",
        "BEGIN BATCH SELECT * FROM ks.t APPLY BATCH",
        "BEGIN BATCH INSERT INTO ks.t (a) VALUES (1)",
        "BEGIN BATCH INSERT INTO ks.t (a) VALUES (1) APPLY",
        "BEGIN BATCH INSERT INTO ks.t (a) VALUES (1) APPLY BATCH DROP TABLE ks.t",
        "BEGIN BATCH DROP TABLE ks.t APPLY BATCH",
        "BEGIN INSERT INTO ks.t (a) VALUES (1) APPLY BATCH",
    ] {
        assert!(does(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_no_statement_is_refused() {
    for text in [
        "",
        ";",
        "EXPLAIN SELECT * FROM t",
        "SELEC * FROM t",
        "SELECT",
        "INSERT ks.t",
        "1",
        "(SELECT * FROM t)",
    ] {
        assert!(does(text).is_err(), "{text}");
    }
}

/// A batch at the cap of its tables, and one more.
#[test]
fn the_tables_of_a_batch_have_a_cap() {
    let batch = |tables: usize| {
        let one = |n| format!("INSERT INTO ks.t{n} (a) VALUES (1);");
        let all: String = (0..tables).map(one).collect();
        does(&format!("BEGIN BATCH {all} APPLY BATCH"))
    };
    assert_eq!(batch(crate::cassandra::MAX_PARTS).map(|parts| parts.len()), Ok(256));
    assert!(batch(crate::cassandra::MAX_PARTS + 1).is_err());
}
