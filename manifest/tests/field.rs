//! Schema-like reading: what is there, and the errors for what is not.

use std::path::Path;

use remora_manifest::{Field, FieldPath, Node, read};

const POD: &str = "\
spec:
  name: 12
  empty:
  flag: true
  size: 3
  ports:
  - port: \"80\"
  labels: {app/name: a}
  lables: {}
  zzz: 1
";

fn document() -> Node {
    read(POD, Path::new("p.yaml")).remove(0).expect("valid")
}

#[test]
fn what_is_there_is_given() {
    let node = document();
    let spec = Field::root(&node).require("spec").expect("there");
    let field = |name| spec.require(name).expect("there");
    assert_eq!(field("flag").boolean(), Ok(true));
    assert_eq!(field("size").integer(), Ok(3));
    let port = field("ports").items().expect("a list").next().expect("one");
    assert_eq!(port.require("port").expect("there").string(), Ok("80"));
    assert_eq!(port.path.to_string(), "spec.ports[0]");
    let (key, label) = field("labels").entries().expect("a map").next().expect("one");
    assert_eq!((key.name.as_str(), label.string()), ("app/name", Ok("a")));
    assert_eq!(label.path.to_string(), "spec.labels[\"app/name\"]");
    assert!(spec.get("empty").expect("a map").is_some());
    assert!(spec.get_given("empty").expect("a map").is_none());
    assert!(spec.get("absent").expect("a map").is_none());
}

#[test]
fn what_is_not_is_named_with_its_place_and_a_remedy() {
    let node = document();
    let root = Field::root(&node);
    let spec = root.require("spec").expect("there");
    let error = |name: &str| spec.require(name).expect_err("absent").to_string();
    assert_eq!(error("absent"), "p.yaml:2: spec.absent: is missing; add it");
    assert_eq!(error("empty"), "p.yaml:3: spec.empty: is missing; add it");
    let name = spec.require("name").expect("there");
    let message = "p.yaml:2: spec.name: expected a string, found a number; put it in quotes";
    assert_eq!(name.string().expect_err("a number").to_string(), message);
    let message = "p.yaml:2: spec.name: expected a list, found a number; write a list";
    assert_eq!(name.items().err().expect("a number").to_string(), message);
    assert!(name.get("x").is_err() && name.boolean().is_err());
    assert!(spec.require("flag").expect("there").integer().is_err());
    let message = "p.yaml:1: document: odd; even it";
    assert_eq!(root.error("odd", "even it").to_string(), message);
}

#[test]
fn unknown_fields_come_with_the_nearest_name() {
    let node = document();
    let spec = Field::root(&node).require("spec").expect("there");
    let known = ["name", "empty", "flag", "size", "ports", "labels"];
    let errors: Vec<String> =
        spec.unknown(&known).expect("a map").iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "p.yaml:9: spec.lables: is not a field that is known here; did you mean `labels`?",
            "p.yaml:10: spec.zzz: is not a field that is known here; \
             remove it; known here: name, empty, flag, size, ports, labels",
        ]
    );
}

#[test]
fn values_that_were_never_text_have_no_place() {
    let node = Node::from_json(&serde_json::json!({"a": 1}));
    let error = Field::root(&node).require("b").expect_err("absent");
    assert_eq!(error.to_string(), "<value>: b: is missing; add it");
    assert_eq!(node.locate(&FieldPath::root().key("a")).to_string(), "<value>");
}
