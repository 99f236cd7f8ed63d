//! What is read, what is refused, and where each error points.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{MAX_ALIASED_BYTES, MAX_BYTES, MAX_DEPTH, MAX_VALUES, read, read_bytes};
use crate::{FieldPath, Node, Value};

fn one(text: &str) -> Result<Json, String> {
    let mut documents = read(text, Path::new("f.yaml"));
    assert_eq!(documents.len(), 1, "{text:?}");
    documents.remove(0).map(|node| node.to_json()).map_err(|error| error.to_string())
}

#[test]
fn plain_scalars_follow_the_core_schema_and_kubernetes_octals() {
    let table = [
        ("yes", json!("yes")),
        ("on", json!("on")),
        ("True", json!(true)),
        ("tRUE", json!("tRUE")),
        ("~", json!(null)),
        ("NULL", json!(null)),
        ("0644", json!(420)),
        ("-010", json!(-8)),
        ("0899", json!(899)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0xg", json!("0xg")),
        ("0", json!(0)),
        ("+7", json!(7)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
        ("18446744073709551615", json!(u64::MAX)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("5.", json!(5.0)),
        ("1e3", json!(1000.0)),
        ("1e", json!("1e")),
        (".", json!(".")),
        ("1.2.3", json!("1.2.3")),
        ("1_000", json!("1_000")),
        ("12:30:45", json!("12:30:45")),
        ("2026-01-01", json!("2026-01-01")),
        ("inf", json!("inf")),
        ("'12'", json!("12")),
        ("\"a\\u00e9\\x41\"", json!("aéA")),
        ("!!str 12", json!("12")),
        ("!!int '12'", json!(12)),
        ("!!float 2", json!(2.0)),
        ("|\n a\n b\n", json!("a\nb\n")),
        (">-\n a\n b\n", json!("a b")),
    ];
    for (text, value) in table {
        assert_eq!(one(text), Ok(value), "{text}");
    }
}

#[test]
fn what_is_refused_names_place_and_remedy() {
    let table = [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key `a` is already in this map, at line 1; remove"),
        ("{\"a\": 1,\n \"a\": 2}", "f.yaml:2:2: the key `a` is already in this map, at line 1;"),
        ("1: a\n\"1\": b", "f.yaml:2:1: the key `1` is already in this map, at line 1;"),
        ("a:\n  ? [x]\n  : y", "f.yaml:2:5: a list or map as a key; use a string"),
        ("~: a", "f.yaml:1:1: the key `~` is no string; put it in quotes"),
        ("0x10: a", "f.yaml:1:1: the key `0x10` is no string; put it in quotes"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "f.yaml:3:3: merge keys are not supported; write the"),
        ("a: &x 1\n*x : 2", "f.yaml:2:1: an alias as a key; write the key out"),
        ("a: *x", "f.yaml:1:4: not valid YAML: while parsing node, found unknown anchor; define"),
        ("a: &x [*x]", "f.yaml:1:8: an alias inside the value that it stands for; write"),
        ("a: !secret b", "f.yaml:1:4: tag `!secret` has no meaning in a manifest; remove it"),
        ("a: !!binary aGk=", "f.yaml:1:4: `aGk=` is no !!binary; remove the tag"),
        ("a: !!map [b]", "f.yaml:1:4: tag "),
        ("a: .nan", "f.yaml:1:4: the number `.nan` has no form in JSON;"),
        ("a: -.inf", "f.yaml:1:4: the number `-.inf` has no form in JSON;"),
        ("a: 1e999", "f.yaml:1:4: the number `1e999` has no form in JSON;"),
        ("a: 0xfffffffffffffffff", "f.yaml:1:4: the number `0xfffffffffffffffff` has no form"),
        ("a: [1", "f.yaml:"),
        ("a:\n\t- b", "f.yaml:2:"),
        ("a: b\nc: d: e", "f.yaml:2:5: not valid YAML:"),
        ("kind: Pod\n\0spec: x", "f.yaml:2:1: control character 0x00 in the text; write it as"),
    ];
    for (text, message) in table {
        let error = one(text).expect_err(text);
        assert!(error.starts_with(message), "{text:?}\n  gives {error}\n  not   {message}");
        assert!(error.contains("; "), "no remedy: {error}");
    }
}

#[test]
fn documents_are_separate_and_empty_ones_are_left_out() {
    let text = "---\n# nothing\n---\na: 1\n---\nb: 1\nb: 2\nc: [{}]\n---\nd: 4\n...\n---\n";
    let documents = read(text, Path::new("f"));
    let shown: Vec<String> = documents
        .iter()
        .map(|document| match document {
            Ok(node) => node.to_json().to_string(),
            Err(error) => error.location.to_string(),
        })
        .collect();
    assert_eq!(shown, ["{\"a\":1}", "f:7:1", "{\"d\":4}"]);
    assert!(read("", Path::new("f")).is_empty());
    assert!(read("# only words\n", Path::new("f")).is_empty());
    assert_eq!(one("null"), Ok(Json::Null));
}

#[test]
fn a_syntax_error_ends_the_reading() {
    let documents = read("a: 1\n---\nb: [\n---\nc: 3\n", Path::new("f"));
    assert_eq!(documents.len(), 2);
    assert!(documents[0].is_ok());
    assert!(documents[1].is_err());
}

#[test]
fn an_anchor_ends_with_its_document() {
    let documents = read("a: &x 1\nb: *x\n---\nc: *x\n", Path::new("f"));
    assert_eq!(documents[0].as_ref().map(Node::to_json), Ok(json!({"a": 1, "b": 1})));
    assert!(documents[1].is_err());
}

#[test]
fn values_keep_their_places() {
    let text = "spec:\n  empty:\n  ports:\n  - port: \"80\"\n    name: é\n";
    let node = read(text, Path::new("p.yaml")).remove(0).expect("valid");
    let at = |path: &FieldPath| node.locate(path).to_string();
    let spec = FieldPath::root().key("spec");
    assert_eq!(at(&spec.key("empty")), "p.yaml:2:3");
    assert!(at(&spec.key("ports")).starts_with("p.yaml:4:"));
    assert_eq!(at(&spec.key("ports").index(0).key("port")), "p.yaml:4:11");
    assert_eq!(at(&spec.key("ports").index(0).key("absent").key("deeper")), "p.yaml:4:5");
    assert!(at(&spec.key("ports").index(7)).starts_with("p.yaml:4:"));
    assert_eq!(node.locate(&FieldPath::root()).line, 1);
}

#[test]
fn an_alias_is_a_copy_at_its_own_place() {
    let text = "a: &x {b: [1]}\nc: *x\n";
    let node = read(text, Path::new("f")).remove(0).expect("valid");
    assert_eq!(node.to_json(), json!({"a": {"b": [1]}, "c": {"b": [1]}}));
    assert_eq!(node.get("c").expect("there").location.line, 2);
}

#[test]
fn json_is_read_as_it_is() {
    let text = "{\n\t\"a\": [1, -2.5e3, true, null, \"x\\/\\u00e9\\n\"],\n\t\"b\" : {\"c\":{}}, \"d\":[]\n}";
    let value: Json = serde_json::from_str(text).expect("valid JSON");
    assert_eq!(one(text), Ok(value));
    let long = format!("{{\"{}\":1}}", "k".repeat(900));
    assert_eq!(one(&long), Ok(serde_json::from_str(&long).expect("valid JSON")));
}

#[test]
fn json_writes_characters_beyond_the_basic_plane_as_two_escapes() {
    let text = r#"{"a\ud83d\ude00": "x\ud83d\ude00y\\\ud83d\ude00\u00e9", "b": "\\ud83d\\ude00"}"#;
    let value: Json = serde_json::from_str(text).expect("valid JSON");
    assert_eq!(one(text), Ok(value));
    for lone in [r#"["\ud83d"]"#, r#"["\ude00\ud83d"]"#, r#"["\ud83d\u0041"]"#] {
        let error = one(lone).expect_err("half a character");
        assert!(error.contains("invalid Unicode"), "{error}");
    }
    assert_eq!(one(r"{a: '\ud83d\ude00'}"), Ok(json!({"a": r"\ud83d\ude00"})));
}

#[test]
fn the_text_is_bounded() {
    let text = |bytes: usize| format!("a: {}", "x".repeat(bytes - 3));
    assert!(one(&text(MAX_BYTES)).is_ok());
    let error = one(&text(MAX_BYTES + 1)).expect_err("too long");
    assert!(error.contains(&format!("longer than {MAX_BYTES} bytes")), "{error}");
    let bytes = text(MAX_BYTES + 1).into_bytes();
    assert!(read_bytes(&bytes, Path::new("f")).remove(0).is_err());
}

#[test]
fn nesting_is_bounded_in_both_styles_and_through_aliases() {
    let flow = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let block = |depth: usize| format!("{}x", "- ".repeat(depth));
    let aliased = |depth: usize| {
        let half = depth / 2;
        let (open, close) = ("[".repeat(depth - half - 1), "]".repeat(depth - half - 1));
        format!("- &x {}{}\n- {open}*x{close}\n", "[".repeat(half), "]".repeat(half))
    };
    for text in [flow, block, aliased] as [fn(usize) -> String; 3] {
        assert!(one(&text(MAX_DEPTH)).is_ok());
        let error = one(&text(MAX_DEPTH + 1)).expect_err("too deep");
        assert!(error.contains("deeper than 128 levels"), "{error}");
    }
    assert!(one(&block(MAX_BYTES / 2 - 1)).is_err());
}

#[test]
fn values_are_bounded() {
    let text = |values: usize| format!("[{}]", "1,".repeat(values - 1));
    assert!(one(&text(MAX_VALUES)).is_ok());
    assert!(one(&text(MAX_VALUES + 1)).expect_err("too many").contains("more than 200000 values"));
}

#[test]
fn copies_by_anchors_and_aliases_are_bounded() {
    let text = |copies: usize| {
        let word = "x".repeat(MAX_ALIASED_BYTES / 1024);
        format!("- &x {word}\n{}", "- *x\n".repeat(copies - 1))
    };
    assert!(one(&text(1024)).is_ok());
    assert!(one(&text(1025)).expect_err("too much").contains("copy more than 1048576 bytes"));
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = "a0: &a0 [lol, lol]\n".to_owned();
    for i in 1..40 {
        let before = i - 1;
        text += &format!("a{i}: &a{i} [*a{before}, *a{before}]\n");
    }
    let error = one(&text).expect_err("exponential");
    assert!(error.contains("more than 200000 values"), "{error}");
}

#[test]
fn bytes_that_are_not_utf8_are_named() {
    let error = read_bytes(b"a: 1\nb: \xff\n", Path::new("f")).remove(0).expect_err("not UTF-8");
    assert_eq!(error.to_string(), "f:2:4: the text is not UTF-8; save the file as UTF-8");
    assert_eq!(read_bytes(b"\xef\xbb\xbfa: 1\n", Path::new("f")).len(), 1);
}

#[test]
fn numbers_are_faithful() {
    let node = read("[1, 18446744073709551615, 0.1]", Path::new("f")).remove(0).expect("valid");
    let Value::List(items) = node.value else { panic!("no list") };
    let values: Vec<Value> = items.into_iter().map(|node| node.value).collect();
    assert_eq!(values, [Value::Int(1), Value::UInt(u64::MAX), Value::Float(0.1)]);
}
