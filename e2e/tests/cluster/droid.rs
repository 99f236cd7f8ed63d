//! The demo's droid, which speaks another protocol.

use crate::{
    client::Answer,
    kubectl::{eventually, expect},
    stage::Stage,
};

const DROID: &str = include_str!("../../../cli/src/demo/manifests/droid.yaml");
const ORDERS: &str = include_str!("../../../cli/src/demo/manifests/droid-orders.yaml");

const JEDI: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: jedi, labels: {role: jedi}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: "remora-test/app:test", imagePullPolicy: Never, args: [idle]}
---
apiVersion: v1
kind: Service
metadata: {name: droid}
spec:
  selector: {app: droid}
  ports: [{name: r2d2, port: 4242, targetPort: r2d2}]
"#;

const SCENES: [(&str, &str); 5] = [
    ("READ plans/hangar", "OK READ plans/hangar"),
    ("READ secrets/base", "ERROR"),
    ("WRITE plans/hangar", "ERROR"),
    ("HALT", "OK HALT"),
    ("READ plans/engine", "OK READ plans/engine"),
];

#[test]
fn the_droid_obeys_what_its_policy_allows() {
    let stage = Stage::set("droid");
    let policy = ORDERS
        .replace("apiVersion: cilium.io/v2", "apiVersion: policy.remora.dev/v1alpha1")
        .replace("kind: CiliumNetworkPolicy", "kind: L7Policy");
    stage.apply(&policy);
    let image = "image: remora-test/remora:test\n    imagePullPolicy: Never";
    stage.inject(&DROID.replace("image: remora", image));
    stage.apply(JEDI);
    stage.ready("droid");
    stage.accepted("droid-orders");
    let mut jedi = stage.client("jedi");
    jedi.reach("droid:4242");
    let open = jedi.open("droid:4242").expect("the policy lets the jedi in");
    for (order, reply) in SCENES {
        let answer = jedi.ask(&open, &format!("{order}\r\n"));
        assert_eq!(answer, Answer::Reply(format!("{reply}\r\n")), "{order}");
    }
    let allowed: Vec<_> =
        SCENES.iter().filter(|(_, reply)| *reply != "ERROR").map(|(order, _)| *order).collect();
    eventually("the droid got the allowed orders and no other", || {
        let log = stage.run(&["logs", "droid"])?;
        let obeyed: Vec<_> = log.lines().collect();
        expect(obeyed == allowed, || log.clone())
    });
}
