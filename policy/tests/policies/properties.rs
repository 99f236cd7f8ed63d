//! Every property of Cilium's definition: enforced, mere words, or refused by
//! name. The table is `docs/policy-properties.md`.

use remora_policy::Reading;

use crate::{
    common::{World, admission, document, readings},
    refusals::LATER,
};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy-properties.md");

/// The rows of the table, and what stands before them.
fn table() -> (String, Vec<(String, String)>) {
    let text = std::fs::read_to_string(TABLE).expect("the table");
    let is_row = |line: &&str| line.starts_with("| `");
    let head: String =
        text.lines().take_while(|line| !is_row(line)).map(|line| format!("{line}\n")).collect();
    let row = |line: &str| {
        let mut cells =
            line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).skip(1);
        (cells.next().expect("a property"), cells.next().expect("its fate"))
    };
    (head, text.lines().filter(is_row).map(row).collect())
}

/// A document that has a property, and little else: `spec.ingress[].toPorts[]`
/// becomes `spec: {ingress: [{toPorts: [{}]}]}`.
fn with(property: &str, all: &[(String, String)]) -> Reading {
    let has_parts = all.iter().any(|(other, _)| {
        other.strip_prefix(property).is_some_and(|rest| rest.starts_with(['.', '[']))
    });
    let leaf = if has_parts { "{}" } else { "x" };
    let spec = property.strip_prefix("spec.").expect("of a spec");
    let yaml =
        spec.rsplit('.').fold(leaf.to_owned(), |inner, name| match name.strip_suffix("[]") {
            Some(name) => format!("{{{name}: [{inner}]}}"),
            None => format!("{{{name}: {inner}}}"),
        });
    let metadata = "{name: p, namespace: shop}";
    let spec = format!("  {yaml}");
    readings("p.yaml", &document("cilium.io/v2", "CiliumNetworkPolicy", metadata, &spec)).remove(0)
}

/// What the reader makes of the last name of a property, or of one before it.
fn fate(property: &str, all: &[(String, String)]) -> &'static str {
    if property.starts_with("spec.description") || property.starts_with("spec.labels") {
        return "words";
    }
    let Reading::Refused(refused) = with(property, all) else { return "enforced" };
    let not_read = |message: &str| {
        message == LATER
            || message.starts_with("is not a known field")
            || message.starts_with("does not belong here")
    };
    if refused.errors.iter().any(|error| not_read(&error.message)) { "refused" } else { "enforced" }
}

#[test]
fn every_property_is_enforced_or_words_or_refused_by_name() {
    let (head, rows) = table();
    let fresh: Vec<_> = rows
        .iter()
        .map(|(property, _)| (property.clone(), fate(property, &rows).to_owned()))
        .collect();
    if std::env::var_os("REMORA_UPDATE").is_some() {
        let rows = fresh.iter().map(|(property, fate)| format!("| `{property}` | {fate} |\n"));
        std::fs::write(TABLE, head + &rows.collect::<String>()).expect("written");
    }
    for (row, fresh) in rows.iter().zip(&fresh) {
        assert_eq!(row, fresh, "run REMORA_UPDATE=1 cargo test -p remora-policy properties");
    }
    for fate in ["enforced", "words", "refused"] {
        assert!(rows.iter().any(|(_, own)| own == fate), "{fate}: the table has none");
    }
}

#[test]
fn a_property_that_is_refused_is_named_and_closes() {
    let (_, rows) = table();
    for (property, _) in rows.iter().filter(|(_, fate)| fate == "refused") {
        let Reading::Refused(refused) = with(property, &rows) else {
            panic!("{property}: accepted")
        };
        let named = refused.errors.iter().find(|error| error.message == LATER);
        let named = named.unwrap_or_else(|| panic!("{property}: {}", refused.report()));
        let field = named.field.replace("[0]", "[]");
        assert!(property.starts_with(&field), "{property}: {field}");
        assert_eq!((named.file.as_deref(), named.line), (Some("p.yaml"), 5), "{property}");
        // A policy of nodes selects no pod.
        let expected = if property.starts_with("spec.nodeSelector") { "open" } else { "denied" };
        let world = World::new([with(property, &rows)]);
        let slice = world.slice("app=x");
        let met = [admission(&slice, 80, None), crate::common::reach(&slice, 80, None)];
        assert!(met.iter().any(|own| own == expected), "{property}: {met:?}");
    }
}
