//! `remora policy validate`, `explain` and `import`, as people call them.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const POLICY: &str = "\
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {name: cache, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: cache}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: jedi}}]
    toPorts:
    - ports: [{port: '11211'}]
      rules:
        l7proto: memcache
        l7: [{command: version}, {command: get, keyPrefix: alliance/fleet/}]
  - fromCIDR: [192.0.2.0/24]
";

const TO: &str = "app=cache,k8s:io.kubernetes.pod.namespace=shop";
const JEDI: &str = "role=jedi,k8s:io.kubernetes.pod.namespace=shop";
const RULE: &str = "shop/cache ingress[0].toPorts[0].l7[1]";

struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.feed(arguments, "")
    }

    fn feed(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_remora"))
            .arg("policy")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    }

    fn explain(&self, arguments: &[&str]) -> Value {
        let output =
            self.run(&[&["explain", "-o", "json", "--policy", "p.yaml"], arguments].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn a_request_is_explained_with_its_rule_or_the_nearest_miss() {
    let bench = Bench::new();
    bench.file("p.yaml", POLICY);
    let ask = |from: &str, port: &str, fields: &[&str]| {
        let answer =
            bench.explain(&[&["--from", from, "--to", TO, "--port", port], fields].concat());
        ["verdict", "rule", "nearest"].map(|name| answer[name].as_str().unwrap_or("-").to_owned())
    };
    assert_eq!(
        ask(JEDI, "11211", &["command=get", "key=alliance/fleet/1"]),
        ["FORWARDED", RULE, "-"]
    );
    assert_eq!(
        ask(JEDI, "11211", &["command=get", "key=alliance/fleets/1"]),
        [
            "DROPPED",
            "-",
            &format!(
                "`keyPrefix: alliance/fleet/` of {RULE} would match; the key is `alliance/fleets/1`"
            )
        ]
    );
    assert_eq!(
        ask(JEDI, "11211", &["command=get", "key=alliance/fleet/1", "key=b"])[2],
        format!(
            "`keyPrefix: alliance/fleet/` of {RULE} would match; the key is `alliance/fleet/1 b`"
        )
    );
    assert_eq!(
        ask("role=sith,k8s:io.kubernetes.pod.namespace=shop", "11211", &[])[2],
        "shop/cache ingress[0] wants `role=jedi`; the peer is k8s:io.kubernetes.pod.namespace=shop,k8s:role=sith"
    );
    assert_eq!(ask("192.0.2.7", "80", &[]), ["FORWARDED", "shop/cache ingress[1]", "-"]);
    assert_eq!(ask("198.51.100.7", "80", &[])[0], "DROPPED");
    assert_eq!(ask("reserved:host", "80", &[])[0], "DROPPED");
}

#[test]
fn an_entry_of_the_access_log_is_explained() {
    let bench = Bench::new();
    bench.file("p.yaml", POLICY);
    let pod = |name: &str, labels: &str, address: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\nspec: {{}}\nstatus: {{podIPs: [{{ip: {address}}}]}}\n---\n"
        )
    };
    bench.file(
        "pods.yaml",
        &(pod("luke", "role: jedi", "10.0.0.2") + &pod("cache", "app: cache", "10.0.0.1")),
    );
    let entry = json!({
        "verdict": "DROPPED", "direction": "ingress", "namespace": "shop", "pod": "cache",
        "source": "10.0.0.2:40000", "destination": "10.0.0.1:11211", "l7proto": "memcache",
        "fields": {"command": "get", "key": ["secret"]},
    });
    let arguments = ["explain", "--policy", "p.yaml", "--pods", "pods.yaml", "--log", "-"];
    let output = bench.feed(&arguments, &entry.to_string());
    assert_eq!(
        text(&output),
        format!(
            "DROPPED: no l7 rule matches command=get\n  l7proto: memcache\n  \
             nearest: `keyPrefix: alliance/fleet/` of {RULE} would match; the key is `secret`\n"
        )
    );
    assert_eq!(bench.feed(&arguments, "no json").status.code(), Some(3));
    let unknown =
        bench.run(&["explain", "--policy", "p.yaml", "--to", TO, "--port", "80", "keys=a"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&unknown.stderr)
            .contains("no protocol has a field `keys`; did you mean `key`?")
    );
}

#[test]
fn what_policies_name_by_reference_is_known_from_manifests() {
    let bench = Bench::new();
    bench.file(
        "p.yaml",
        "\
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {name: calls, namespace: shop}
spec:
  endpointSelector: {matchLabels: {role: jedi}}
  egress:
  - toServices: [{k8sService: {serviceName: cache, namespace: shop}}]
  - toCIDRSet: [{cidrGroupRef: partners}]
",
    );
    bench.file(
        "cluster.yaml",
        "\
kind: Service
metadata: {name: cache, namespace: shop}
spec: {selector: {app: cache}}
---
kind: CiliumCIDRGroup
metadata: {name: partners}
spec: {externalCIDRs: [192.0.2.0/24]}
---
kind: Pod
metadata: {name: cache, namespace: shop, labels: {app: cache}}
spec: {}
status: {podIPs: [{ip: 10.0.0.1}]}
",
    );
    let asked = ["explain", "-o", "json", "--policy", "p.yaml", "--direction", "egress"];
    let rule = |more: &[&str]| {
        let output = bench.run(&[&asked[..], more].concat());
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["rule"].as_str().unwrap_or("-").to_owned()
    };
    let to = |address: &str, more: &[&str]| {
        rule(&[&["--from", JEDI, "--to", address, "--port", "80"], more].concat())
    };
    let cluster = ["--pods", "cluster.yaml"];
    assert_eq!(to("10.0.0.1", &cluster), "shop/calls egress[0]");
    assert_eq!(to("192.0.2.7", &cluster), "shop/calls egress[1]");
    assert_eq!(to("198.51.100.7", &cluster), "-");
    assert_eq!(to("192.0.2.7", &[]), "-", "nobody has said what the group holds");
    // What was dialled is the Service; who answered is its backend.
    let entry = json!({
        "direction": "egress", "source": "10.0.0.9:40000", "destination": "10.96.0.9:80",
        "backend": "10.0.0.1:11211",
    });
    let log = ["--from", JEDI, "--log", &entry.to_string()];
    assert_eq!(rule(&[&log[..], &cluster].concat()), "shop/calls egress[0]");
}

#[test]
fn policies_are_validated_with_statuses_for_scripts() {
    let bench = Bench::new();
    bench.file("p.yaml", POLICY);
    let good = bench.run(&["validate", "p.yaml"]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(text(&good), "p.yaml:1: L7Policy shop/cache can be enforced\n");
    bench.file("bad.yaml", &POLICY.replace("keyPrefix", "keyPrefx"));
    let bad = bench.run(&["validate", "p.yaml", "bad.yaml"]);
    assert_eq!(bad.status.code(), Some(2));
    let expected = "error: bad.yaml:12: spec.ingress[0].toPorts[0].rules.l7[1].keyPrefx: memcache rules have no key `keyPrefx`: did you mean `keyPrefix`?";
    assert!(text(&bad).contains(expected), "{}", text(&bad));
    let json = bench.run(&["validate", "-o", "json", "bad.yaml"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let policy = &json["policies"][0];
    assert_eq!((&policy["accepted"], &policy["name"]), (&json!(false), &json!("shop/cache")));
    assert_eq!(policy["errors"][0]["line"], 12);
    assert_eq!(bench.run(&["validate", "none.yaml"]).status.code(), Some(3));
    bench.file("pod.yaml", "kind: Pod\n");
    assert_eq!(bench.run(&["validate", "pod.yaml"]).status.code(), Some(3));
    assert_eq!(bench.run(&["validate"]).status.code(), Some(64));
}

#[test]
fn validation_warns_of_what_would_surprise() {
    let bench = Bench::new();
    let rules = "
  ingress:
  - fromEndpoints: [{matchLabels: {role: sith}}]
    toPorts:
    - ports: [{port: '80'}]
      rules: {l7proto: memcache, l7: [{command: get, keyRegex: fleet}, {command: get, keyRegex: ^a.*}]}
  - toPorts: [{ports: [{port: '80'}]}]
";
    let head = POLICY.split("\n  ingress:").next().expect("a head");
    bench.file("p.yaml", &format!("{head}{rules}"));
    bench.file("pods.yaml", "kind: List\nitems:\n- {kind: Pod, metadata: {name: a, namespace: shop, labels: {role: jedi}}, spec: {}}\n");
    let output = bench.run(&["validate", "p.yaml", "--pods", "pods.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output);
    for expected in [
        "allows any request and so voids shop/cache ingress[0].toPorts[0]",
        "l7[0].keyRegex: `fleet` matches whole values only, where Cilium's parsers found it anywhere in one; write `.*fleet.*` for that",
        "shop/cache endpointSelector: selects no pod of those given",
        "shop/cache ingress[0]: its first selector selects no pod of those given",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("l7[1].keyRegex"), "{said}");
}

#[test]
fn a_list_as_cilium_took_it_becomes_a_policy() {
    let bench = Bench::new();
    let list = json!([{
        "labels": [{"key": "name", "value": "cache"}],
        "endpointSelector": {"matchLabels": {"app": "cache"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "jedi"}}], "toPorts": [{
            "ports": [{"port": "11211", "protocol": "TCP"}],
            "rules": {"l7proto": "memcache", "l7": [{"command": "get"}]}}]}],
    }]);
    bench.file("Rules_1.json", &list.to_string());
    let valid = bench.run(&["validate", "Rules_1.json"]);
    assert_eq!(text(&valid), "Rules_1.json:1: ClusterL7Policy rules-1 can be enforced\n");
    for (arguments, kind) in [
        (vec!["import", "Rules_1.json"], "ClusterL7Policy"),
        (vec!["import", "Rules_1.json", "-n", "shop"], "L7Policy"),
    ] {
        let imported = bench.run(&arguments);
        assert_eq!(imported.status.code(), Some(0));
        bench.file("p.yaml", &text(&imported));
        assert!(text(&imported).contains(&format!("kind: {kind}\n")), "{}", text(&imported));
        let answer = bench.explain(&["--from", JEDI, "--to", TO, "--port", "11211", "command=get"]);
        let sith =
            bench.explain(&["--from", "role=sith", "--to", TO, "--port", "11211", "command=get"]);
        assert_eq!(
            (&answer["verdict"], &sith["verdict"]),
            (&json!("FORWARDED"), &json!("DROPPED")),
            "{kind}"
        );
    }
    bench.file("bad.json", &list.to_string().replace("command", "comand"));
    assert_eq!(bench.run(&["import", "bad.json"]).status.code(), Some(2));
    bench.file("other.json", "[1]");
    assert_eq!(bench.run(&["import", "other.json"]).status.code(), Some(3));
}

#[test]
fn completions_and_help_know_the_commands() {
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_remora")).args(arguments).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let completions = run(&["completions", "bash"]);
    for command in ["validate", "explain", "import"] {
        assert!(completions.contains(command), "{command}");
        assert!(run(&["policy", command, "--help"]).contains("Example"), "{command}");
    }
}
