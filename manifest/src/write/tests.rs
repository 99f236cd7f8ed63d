//! The shape of what is written; that it reads back is a property test.

use serde_json::json;

use super::to_yaml;

#[test]
fn a_manifest_looks_as_people_write_it() {
    let value = json!({
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "a"}, "annotations": {}},
        "spec": {
            "containers": [
                {"name": "x", "args": ["run", "--port", "16006"], "ports": []},
                {"command": ["sh", "-c", "set -e\nexec x\n"], "env": [["a", ["b"]], [], null]},
            ],
            "hostNetwork": false,
        },
    });
    let text = "\
kind: Pod
metadata:
  name: a
  labels:
    app.kubernetes.io/name: a
  annotations: {}
spec:
  containers:
  - name: x
    args:
    - run
    - \"--port\"
    - \"16006\"
    ports: []
  - command:
    - sh
    - \"-c\"
    - |
      set -e
      exec x
    env:
    - - a
      - - b
    - []
    - null
  hostNetwork: false
";
    assert_eq!(to_yaml(&value), text);
}

#[test]
fn strings_that_a_reader_could_take_for_something_else_are_quoted() {
    for word in [
        "",
        " ",
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "null",
        "Null",
        "~",
        "true",
        "FALSE",
        "1",
        "0644",
        "1e3",
        ".5",
        ".inf",
        "nan",
        "0x1",
        "0b1",
        "1_0",
        "12:30",
        "2026-01-01",
        "=",
        "<<",
        "-",
        "---",
        "...",
        "- a",
        "a: b",
        "a:",
        "a #b",
        "#a",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "'a",
        "\"a",
        "{a",
        "[a",
        "?",
        "a\tb",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{feff}a",
        "é",
        "a ",
        "a\r\nb",
        "\u{7f}",
    ] {
        let text = to_yaml(&json!([word]));
        assert!(text.starts_with("- \"") && text.ends_with("\"\n"), "{word:?}: {text}");
    }
    for word in ["a", "Nginx", "remora/init:0.1.0", "/run/remora", "a b", "k=v,k=v", "yesterday"] {
        assert_eq!(to_yaml(&json!([word])), format!("- {word}\n"));
    }
}

#[test]
fn only_sturdy_lines_become_a_literal_block() {
    assert_eq!(to_yaml(&json!({"a": "x\ny"})), "a: |-\n  x\n  y\n");
    assert_eq!(to_yaml(&json!({"a": "x\n\n y\n"})), "a: |\n  x\n\n   y\n");
    for text in ["\nx", " x\ny", "x \ny", "x\n\n", "x\n ", "x\r\ny", "x\n\ty\u{7}"] {
        assert!(to_yaml(&json!({"a": text})).starts_with("a: \""), "{text:?}");
    }
}

#[test]
fn floats_are_floats_to_yaml_1_1_as_well() {
    assert_eq!(
        to_yaml(&json!([1e16, 1e-7, 1.5e300, 0.5])),
        "- 1.0e+16\n- 1.0e-7\n- 1.5e+300\n- 0.5\n"
    );
}
