//! What a pod may call, by way of kube-proxy's Services.

use crate::{
    client::Answer,
    edits::CLIENT,
    kubectl::{eventually, expect},
    stage::Stage,
};

/// A server without a sidecar.
fn server(name: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}, kind: cache}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: memcached
    image: remora-test/memcached:test
    imagePullPolicy: Never
    args: ["--port=11211", "--udp-port=0", "--memory-limit=16", "--threads=1"]
    securityContext: {{runAsUser: 11211, runAsGroup: 11211}}
"#
    )
}

/// The servers `fleet` and `station` are each behind a ClusterIP on another
/// port, and both behind one; the fleet is behind a headless Service, too.
const SERVICES: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: fleet}
spec:
  selector: {app: fleet}
  ports: [{port: 80, targetPort: 11211}]
---
apiVersion: v1
kind: Service
metadata: {name: station}
spec:
  selector: {app: station}
  ports: [{port: 81, targetPort: 11211}]
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  selector: {kind: cache}
  ports: [{port: 82, targetPort: 11211}]
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec:
  clusterIP: None
  selector: {app: fleet}
  ports: [{port: 11211}]
"#;

/// The fleet, by its pods and their port, and only what starts with `a/`.
const BY_ENDPOINTS: &str = r#"
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {name: calls}
spec:
  endpointSelector: {matchLabels: {role: client}}
  egress:
  - toEndpoints: [{matchLabels: {app: fleet}}]
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
      rules: {l7proto: memcache, l7: [{command: get, keyPrefix: a/}]}
"#;

/// The station, by the name of its Service.
const BY_SERVICE: &str = r#"
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {name: more-calls}
spec:
  endpointSelector: {matchLabels: {role: client}}
  egress:
  - toServices: [{k8sService: {serviceName: station, namespace: NAMESPACE}}]
"#;

#[test]
fn a_pod_calls_the_services_that_it_may_and_no_others() {
    let stage = Stage::set("egress");
    stage.apply(&server("fleet"));
    stage.apply(&server("station"));
    stage.apply(SERVICES);
    stage.apply(BY_ENDPOINTS);
    stage.inject(CLIENT);
    stage.ready("fleet");
    stage.ready("station");
    stage.accepted("calls");
    let mut client = stage.client("client");
    let [fleet, station, both, headless] =
        [("fleet", 80), ("station", 81), ("both", 82), ("headless", 11211)]
            .map(|(name, port)| stage.service(name, port));
    let mut ask = |to: &str, request: &str| client.ask_anew(to, request);
    eventually("the fleet's Service leads to it", || {
        let answer = ask(&fleet, "get a/x\r\n");
        expect(answer == Answer::miss(), || answer.to_string())
    });
    assert_eq!(ask(&fleet, "get b/x\r\n"), Answer::denied());
    assert_eq!(ask(&headless, "get a/x\r\n"), Answer::miss());
    assert_eq!(ask(&headless, "get b/x\r\n"), Answer::denied());
    assert_eq!(ask(&station, "get a/x\r\n"), Answer::reset(), "nobody allows it");
    let direct = stage.get(&["pod", "station"]).expect("the pod");
    let direct = format!("{}:11211", direct["status"]["podIP"].as_str().expect("an address"));
    assert_eq!(ask(&direct, "get a/x\r\n"), Answer::reset(), "without its Service neither");
    // Where one of two backends is allowed, that one is dialled, every time.
    for _ in 0..20 {
        assert_eq!(ask(&both, "get a/x\r\n"), Answer::miss());
        assert_eq!(ask(&both, "get b/x\r\n"), Answer::denied());
    }

    stage.apply(&BY_SERVICE.replace("NAMESPACE", &stage.namespace));
    eventually("the station may be called", || {
        let answer = ask(&station, "get b/x\r\n");
        expect(answer == Answer::miss(), || answer.to_string())
    });
    assert_eq!(ask(&fleet, "get b/x\r\n"), Answer::denied());
}
