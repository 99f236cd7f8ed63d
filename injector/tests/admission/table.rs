//! The truth table of labels, as `docs/webhook.md` shows it.

use remora_injector::admission::{Fate, Mode, Outcome, Skip, Standing, fate_of};
use remora_injector::is_injected;
use serde_json::{Value, json};

use crate::{answer, created, pod, response, with};

const DOCS: &str = include_str!("../../../docs/webhook.md");

/// One row: namespace's label, pod's label, what the pod is, what becomes of it.
fn row(line: &str) -> Option<[String; 4]> {
    let cells: Vec<_> =
        line.strip_prefix('|')?.trim_end().trim_end_matches('|').split('|').collect();
    let cells: [&str; 4] = cells.try_into().ok()?;
    Some(cells.map(|cell| cell.trim().trim_matches('`').to_owned()))
}

fn kind_of_pod(kind: &str) -> Value {
    match kind {
        "any other" => pod(),
        "hostNetwork" => with("/spec/hostNetwork", json!(true)),
        "Windows" => with("/spec/os", json!({"name": "windows"})),
        "mirror" => with("/metadata/annotations", json!({"kubernetes.io/config.mirror": "0123"})),
        other => panic!("the table has a pod that is {other}"),
    }
}

fn outcome(namespace: &str, label: &str, kind: &str) -> &'static str {
    let label_of_namespace = (namespace != "absent").then_some(namespace);
    let Standing::In(mode) = Standing::of("shop", label_of_namespace, "remora") else {
        return "left alone";
    };
    let mut pod = kind_of_pod(kind);
    if label != "absent" {
        pod["metadata"]["labels"]["remora.dev/inject"] = json!(label);
    }
    let answer = answer(&pod, mode);
    match answer.outcome {
        Outcome::Injected => {
            assert!(is_injected(&created(&pod, &answer)));
            assert_eq!(fate_of(&pod, mode), Fate::Inject);
            "injected"
        }
        Outcome::Skipped => {
            assert_eq!(created(&pod, &answer), pod);
            assert!(matches!(fate_of(&pod, mode), Fate::Skip(_)));
            "left alone"
        }
        Outcome::Refused => {
            assert_eq!(response(&answer)["allowed"], false);
            "refused"
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_row_of_the_documented_table_is_so() {
    let table = DOCS.split("<!-- truth table -->").nth(1).expect("the table");
    let rows: Vec<_> = table.lines().filter_map(row).skip(2).collect();
    // 5 values of one label, 4 of the other, 4 kinds of pods.
    assert_eq!(expanded(&rows).len(), 5 * 4 * 4, "rows that are missing, or come twice");
    for [namespace, label, kind, expected] in expanded(&rows) {
        let seen = outcome(&namespace, &label, &kind);
        assert_eq!(seen, expected, "namespace {namespace}, pod {label}, {kind}");
    }
}

/// A cell may name several values, or all.
fn expanded(rows: &[[String; 4]]) -> std::collections::BTreeSet<[String; 4]> {
    let all: [&[&str]; 3] = [
        &["absent", "disabled", "enabled", "enforced", "yes"],
        &["absent", "enabled", "disabled", "yes"],
        &["any other", "hostNetwork", "Windows", "mirror"],
    ];
    let values = |cell: &str, all: &[&str]| -> Vec<String> {
        match cell {
            "any" => all.iter().map(|value| (*value).to_owned()).collect(),
            "anything else" => vec!["yes".to_owned()],
            cell => cell.split(", ").map(|value| value.trim_matches('`').to_owned()).collect(),
        }
    };
    let mut out = std::collections::BTreeSet::new();
    for [namespace, label, kind, becomes] in rows {
        for namespace in values(namespace, all[0]) {
            for label in values(label, all[1]) {
                for kind in values(kind, all[2]) {
                    let row = [namespace.clone(), label.clone(), kind, becomes.clone()];
                    assert!(out.insert(row), "{namespace}, {label}: twice in the table");
                }
            }
        }
    }
    out
}

#[test]
fn namespaces_of_the_systems_own_and_of_ours_are_never_touched() {
    for name in ["kube-system", "kube-public", "kube-node-lease", "remora"] {
        for label in [None, Some("enabled"), Some("enforced"), Some("x")] {
            assert_eq!(Standing::of(name, label, "remora"), Standing::Exempt, "{name}");
        }
    }
    assert_eq!(Standing::of("remora", Some("enabled"), "mesh"), Standing::In(Mode::Enabled));
    assert_eq!(Standing::of("shop", Some("Enabled"), "remora"), Standing::Misspelt);
}

#[test]
fn who_is_skipped_is_told_why() {
    let table = [
        ("hostNetwork", Skip::HostNetwork, Some("it uses the node's network")),
        ("Windows", Skip::Windows, Some("it runs on Windows")),
        ("mirror", Skip::Mirror, None),
    ];
    for (kind, skip, words) in table {
        let answer = answer(&kind_of_pod(kind), Mode::Enabled);
        assert_eq!(answer.reason, remora_injector::admission::Reason::Skip(skip));
        let story = answer.story.as_ref().expect("an Event");
        assert_eq!((story.reason, story.is_warning), ("NotInjected", true));
        let warnings = response(&answer)["warnings"].as_array().cloned().unwrap_or_default();
        match words {
            Some(words) => {
                assert!(warnings[0].as_str().expect("text").contains(words), "{warnings:?}");
            }
            None => assert!(warnings.is_empty(), "{warnings:?}"),
        }
    }
    let by_node = with("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"}));
    assert_eq!(answer(&by_node, Mode::Enabled).outcome, Outcome::Skipped);
    assert_eq!(answer(&by_node, Mode::Enforced).outcome, Outcome::Refused);
}

#[test]
fn nobody_opts_out_of_an_enforced_namespace() {
    let pod = with("/metadata/labels", json!({"remora.dev/inject": "disabled"}));
    let answer = answer(&pod, Mode::Enforced);
    assert!(is_injected(&created(&pod, &answer)));
    let warning = response(&answer)["warnings"][0].as_str().expect("a warning").to_owned();
    assert!(warning.contains("counts for nothing in an enforced namespace"), "{warning}");
}
