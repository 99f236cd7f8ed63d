//! Files with several documents, and what is refused about them.

use std::path::Path;

use remora_injector::{InjectConfig, Refused, Rewritten, inject, rewrite, uninject};
use remora_manifest::read;
use serde_json::Value;

const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: cart
spec:
  ports: [{port: 80}]
---
apiVersion: v1
kind: Pod
metadata:
  name: cart-0
spec:
  containers:
  - name: app
    volumeMounts: [{name: conf, mountPath: /etc/cart}]
  volumes:
  - name: conf
    configMap: {name: conf, defaultMode: 0644}
";

fn injected(text: &str) -> Result<Rewritten, Refused> {
    rewrite(text.as_bytes(), Path::new("shop.yaml"), |pod| inject(pod, &InjectConfig::default()))
}

fn values(text: &str) -> Vec<Value> {
    let documents = read(text, Path::new("t"));
    documents.into_iter().map(|document| document.expect("valid").to_json()).collect()
}

#[test]
fn pods_are_injected_and_the_rest_passes_through() {
    let rewritten = injected(SHOP).expect("injectable");
    assert_eq!(rewritten.notes, ["shop.yaml:1: Service cart is no Pod, left as it is"]);
    let (before, after) = (values(SHOP), values(&rewritten.yaml));
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1], inject(&before[1], &InjectConfig::default()).expect("injectable"));
    assert_eq!(after[1]["spec"]["volumes"][0]["configMap"]["defaultMode"], 420);

    let back = rewrite(rewritten.yaml.as_bytes(), Path::new("x"), uninject).expect("ours");
    assert_eq!(values(&back.yaml), before);
}

#[test]
fn json_is_taken_as_well() {
    let json = serde_json::to_string_pretty(&values(SHOP)[1]).expect("JSON");
    let rewritten = injected(&json).expect("injectable");
    assert_eq!(values(&rewritten.yaml).len(), 1);
}

const LIST: &str = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: conf}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: cart}
  spec:
    template:
      spec:
        containers:
        - name: app
          livenessProbe:
            tcpSocket: {port: 80}
";

#[test]
fn items_of_lists_are_injected_where_they_stand() {
    let rewritten = injected(LIST).expect("injectable");
    assert_eq!(rewritten.notes, ["shop.yaml:4: ConfigMap conf is no Pod, left as it is"]);
    let (before, after) = (&values(LIST)[0], &values(&rewritten.yaml)[0]);
    assert_eq!(after["items"][0], before["items"][0]);
    let deployment = inject(&before["items"][1], &InjectConfig::default()).expect("injectable");
    assert_eq!(after["items"][1], deployment);
    let back = rewrite(rewritten.yaml.as_bytes(), Path::new("x"), uninject).expect("ours");
    assert_eq!(&values(&back.yaml)[0], before);

    let bad = LIST.replace("port: 80", "port: web");
    let error = injected(&bad).expect_err("refused").to_string();
    let place =
        "shop.yaml:16: items[1].spec.template.spec.containers[0].livenessProbe.tcpSocket.port: ";
    assert!(error.starts_with(place), "{error}");
}

#[test]
fn templates_of_other_kinds_are_told() {
    let rollout = LIST.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout");
    let error = injected(&rollout).expect_err("nothing to inject").to_string();
    let note = "shop.yaml:7: Rollout cart is no kind that Remora knows, left as it is: \
                the pods of its template run without Remora";
    assert!(error.contains(note), "{error}");
}

#[test]
fn refusals_name_file_line_and_remedy() {
    let table = [
        ("", "no Pod in shop.yaml; give a file with Pods or workloads (the file is empty)"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
            "no Pod in shop.yaml; give a file with Pods or workloads \
             (shop.yaml:1: Service a is no Pod, left as it is)",
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n",
            "shop.yaml:4: items[0].apiVersion: is missing; add it",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [{}, {kind: 1}]\n",
            "shop.yaml:3: items[0].kind: is missing; add it\n\
             shop.yaml:3: items[1].kind: expected a string, found a number; put it in quotes",
        ),
        (
            "apiVersion: apps/v1\nkind: DeploymentList\nitems: []\n",
            "shop.yaml:2: kind: is DeploymentList, whose items do not say theirs; \
             write it as List, each Deployment with its apiVersion and kind",
        ),
        ("a: 1\n", "shop.yaml:1: kind: is missing; add it"),
        ("- a\n", "shop.yaml:1: document: expected a map, found a list; write a map"),
        (
            "kind: Deployment\napiVersion: apps/v1beta1\n",
            "shop.yaml:2: apiVersion: is apps/v1beta1, in which no cluster serves Deployment; \
             write apps/v1",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostNetwork: true\n",
            "shop.yaml:5: spec.hostNetwork: is true; give the Pod its own network: \
             on the node's, redirection would catch every pod's traffic",
        ),
        (
            "kind: Pod\nkind: Pod\n",
            "shop.yaml:2:1: the key `kind` is already in this map, at line 1; \
             remove one of the two",
        ),
    ];
    for (text, message) in table {
        assert_eq!(injected(text).expect_err(text).to_string(), message);
    }
}

#[test]
fn every_problem_is_told_at_once_and_nothing_is_written() {
    let text = format!("{SHOP}---\nkind: 1\n---\na: [\n");
    let Refused(problems) = injected(&text).expect_err("two bad documents");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("shop.yaml:20: kind: expected a string, found a number"));
    assert!(problems[1].contains(": not valid YAML: "));
}
