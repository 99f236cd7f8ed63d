//! Whatever is written reads back as the same value, and no text makes reading panic.

use std::path::Path;

use proptest::prelude::*;
use remora_manifest::{Node, read, to_yaml};
use serde_json::{Map, Number, Value};

/// Strings that are hard on YAML, besides arbitrary ones.
fn string() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "yes", "null", "~", "0644", "1e3", ".nan", "-", "---", "...", ": ", " #", "<<", "*a", "&a",
        "!!str", "|", ">-", "%YAML", "\n", "\r\n", "\t", " ", "'", "\"", "\\", "{", "]", "é", "😀",
        "\u{85}", "\u{2028}", "\u{feff}", "\0", "a", "b: c",
    ]);
    prop_oneof![
        any::<String>(),
        "[ -~\n]{0,12}",
        prop::collection::vec(word, 0..5).prop_map(|words| words.concat()),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |f| Number::from_f64(f).map(Value::from)),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let entries = prop::collection::vec((string(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            entries.prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn read_one(text: &str) -> Value {
    let mut documents = read(text, Path::new("t"));
    assert_eq!(documents.len(), 1, "{text:?}");
    documents.remove(0).unwrap_or_else(|error| panic!("{error}\n{text}")).to_json()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn yaml_reads_back(value in json()) {
        prop_assert_eq!(read_one(&to_yaml(&value)), value);
    }

    #[test]
    fn several_documents_read_back(values in prop::collection::vec(json(), 1..4)) {
        let text: String = values.iter().map(|value| format!("---\n{}", to_yaml(value))).collect();
        let read: Vec<Value> = read(&text, Path::new("t"))
            .into_iter()
            .map(|document| document.expect("written by us").to_json())
            .collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn json_text_reads_back(value in json()) {
        prop_assert_eq!(&read_one(&value.to_string()), &value);
        prop_assert_eq!(&read_one(&serde_json::to_string_pretty(&value).expect("JSON")), &value);
    }

    #[test]
    fn trees_and_json_are_the_same_thing(value in json()) {
        prop_assert_eq!(Node::from_json(&value).to_json(), value);
    }

    #[test]
    fn no_text_panics(text in any::<String>(), hard in prop::collection::vec(string(), 0..12)) {
        read(&text, Path::new("t"));
        read(&hard.concat(), Path::new("t"));
    }

    #[test]
    fn no_cut_of_a_manifest_panics(value in json(), cut in any::<prop::sample::Index>()) {
        let text = to_yaml(&value);
        let at = text.floor_char_boundary(cut.index(text.len()));
        read(&text[..at], Path::new("t"));
    }
}

#[test]
fn long_keys_read_back() {
    for length in [999, 1000, 1001, 1024, 5000] {
        let value: Value = [("k".repeat(length), Value::from(vec![1]))].into_iter().collect();
        assert_eq!(read_one(&to_yaml(&value)), value);
    }
}
