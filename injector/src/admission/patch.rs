//! From one JSON value to another, as a JSON patch (RFC 6902).
//!
//! Only what differs is named, so what we do not know is not in the patch. Entries of lists
//! with names, such as containers, are matched by name: an entry is added where it stands,
//! and no other one is written anew for it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The operations that make `after` of `before`, in order.
pub fn diff(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    value(before, after, "", &mut operations);
    operations
}

fn value(before: &Value, after: &Value, path: &str, operations: &mut Vec<Value>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(before), Value::Object(after)) => map(before, after, path, operations),
        (Value::Array(old), Value::Array(new)) => match (names(old), names(new)) {
            (Some(old_names), Some(new_names)) if same_order(&old_names, &new_names) => {
                named(old, new, path, operations);
            }
            _ => operations.push(json!({"op": "replace", "path": path, "value": after})),
        },
        _ => operations.push(json!({"op": "replace", "path": path, "value": after})),
    }
}

fn map(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    path: &str,
    operations: &mut Vec<Value>,
) {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        operations.push(json!({"op": "remove", "path": step(path, name)}));
    }
    for (name, new) in after {
        let path = step(path, name);
        match before.get(name) {
            Some(old) => value(old, new, &path, operations),
            None => operations.push(json!({"op": "add", "path": path, "value": new})),
        }
    }
}

/// Lists whose entries all have names, none of them twice, and those of both in one order.
fn named(before: &[Value], after: &[Value], path: &str, operations: &mut Vec<Value>) {
    let stays = |item: &Value| after.iter().any(|new| name(new) == name(item));
    // From the back, so that no index shifts before it is used.
    for (index, _) in before.iter().enumerate().rev().filter(|(_, item)| !stays(item)) {
        operations.push(json!({"op": "remove", "path": format!("{path}/{index}")}));
    }
    for (index, new) in after.iter().enumerate() {
        let path = format!("{path}/{index}");
        match before.iter().find(|old| name(old) == name(new)) {
            Some(old) => value(old, new, &path, operations),
            None => operations.push(json!({"op": "add", "path": path, "value": new})),
        }
    }
}

fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

/// The names of all entries; none if one has none, or two have the same.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> = items.iter().map(name).collect::<Option<_>>()?;
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    (distinct.len() == names.len()).then_some(names)
}

/// Whether the names that are in both stand in the same order.
fn same_order(before: &[&str], after: &[&str]) -> bool {
    let stayed = before.iter().filter(|name| after.contains(name));
    stayed.eq(after.iter().filter(|name| before.contains(name)))
}

/// A JSON pointer (RFC 6901) one step further.
fn step(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}
