//! Rules for Cassandra: what they may say, and what is refused.

use remora_parsers::cassandra::PROTOCOL;

fn read(rule: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let conditions = PROTOCOL.read_rule(rule.iter().copied()).map_err(|error| error.to_string())?;
    Ok(conditions.iter().map(|c| format!("{}={}", c.key.name, c.value)).collect())
}

#[test]
fn rules_are_about_actions_and_tables() {
    for (rule, means) in [
        (&[][..], &[][..]),
        (&[("query_action", "")], &[]),
        (&[("query_action", "select")], &["query_action=select"]),
        (
            &[("query_table", r"system\..*"), ("query_action", "select")],
            &["query_action=select", r"query_table=system\..*"],
        ),
        (
            &[("query_action", "use"), ("query_table", "pub")],
            &["query_action=use", "query_table=pub"],
        ),
        (&[("query_action", "create-role")], &["query_action=create-role"]),
        (
            &[("query_action", "create-index"), ("query_table", "a.b")],
            &["query_action=create-index", "query_table=a.b"],
        ),
        // Only what is done to tables: neither keyspaces nor side doors.
        (&[("query_table", "a.b")], &["query_action=", "query_table=a.b"]),
        (&[("query_action", ""), ("query_table", "a.b")], &["query_action=", "query_table=a.b"]),
    ] {
        assert_eq!(
            read(rule).as_deref(),
            Ok(means.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().as_slice()),
            "{rule:?}"
        );
    }
}

#[test]
fn what_could_match_nothing_is_refused_with_the_remedy() {
    for (rule, says) in [
        (&[("query_acton", "select")][..], "did you mean `query_action`?"),
        (&[("query_action", "selcet")], "did you mean `select`?"),
        (&[("query_action", "SELECT")], "did you mean `select`?"),
        (&[("query_action", "truncate")], "did you mean `truncate-table`?"),
        (&[("query_table", "")], "`query_table` has no value"),
        (&[("query_action", "create-role"), ("query_table", "a.b")], "is about no table"),
        (&[("query_action", "drop-index"), ("query_table", "a.b")], "is about no table"),
    ] {
        let error = read(rule).expect_err("refused");
        assert!(error.contains(says), "{rule:?}: {error}");
    }
}
