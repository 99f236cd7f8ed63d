//! From the first chart that there was to this one, with pods that run.

use std::path::Path;

use crate::webhook::chart::{Labelled, chart, charts, has_sidecar, plain, upgrade};

/// The chart as it first landed, packaged by Helm.
const FIRST: &str = "tests/cluster/webhook/remora-first.tgz";

#[test]
fn pods_of_the_first_chart_live_on_under_this_one() {
    chart();
    upgrade(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FIRST), &[]);
    let stage = Labelled::set("upgrade", "enforced");
    stage.apply(&plain("before").to_string());
    stage.ready("before");
    let uid = |name: &str| stage.get(&["pod", name]).expect("the pod")["metadata"]["uid"].clone();
    let before = uid("before");
    upgrade(&charts().join("remora"), &[]);
    stage.ready("before");
    assert_eq!(uid("before"), before, "it was not replaced");
    stage.run(&["label", "pod", "before", "team=x"]).expect("a label");
    let restarts = |name: &str| stage.get(&["pod", name]).expect("the pod")["status"].to_string();
    assert!(!restarts("before").contains("\"restartCount\":1"), "{}", restarts("before"));
    stage.apply(&plain("after").to_string());
    stage.ready("after");
    assert!(has_sidecar(&stage.get(&["pod", "after"]).expect("the pod")));
}
