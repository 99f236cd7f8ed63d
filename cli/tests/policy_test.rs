//! `remora policy test`, to the letter of its contract.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

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

    fn policy(&self) -> PathBuf {
        let seed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/memcache/policy.yaml");
        self.file("policy.yaml", &fs::read_to_string(seed).expect("the policy"))
    }

    fn run(&self, arguments: &[&str], transcripts: &[&Path]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_remora"))
            .args(["policy", "test"])
            .args(arguments)
            .args(transcripts)
            .output()
            .expect("it runs")
    }
}

const TO: &str = "app=memcached";
const MONITORING: &str = "function=fleet-monitoring";
const RULES: &str = "default/secure-rebel-alliance-memcache specs[0].ingress";

fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[test]
fn the_object_holds_what_the_contract_says() {
    let bench = Bench::new();
    let policy = bench.policy();
    let transcript = bench.file(
        "t.transcript",
        "# l7proto: memcache\n> \"get alliance/fleet/a\\r\\nget b\\r\\nge\"\n< \"END\\r\\n\"\n> hex:74 20 62 0d 0a\n",
    );
    let output = bench.run(
        &[
            "--policy",
            policy.to_str().expect("UTF-8"),
            "--from",
            MONITORING,
            "--to",
            TO,
            "--port",
            "11211",
            "--output",
            "json",
        ],
        &[&transcript],
    );
    assert_eq!(output.status.code(), Some(0));
    let denial = "Q0xJRU5UX0VSUk9SIGFjY2VzcyBkZW5pZWQNCg==";
    let inject = json!({"dir": "reply", "op": "INJECT", "n": 28, "data": denial});
    let objects = objects(&output);
    assert_eq!(objects.len(), 1);
    let object = &objects[0];
    assert_eq!(object["transcript"], transcript.to_str().expect("UTF-8"));
    assert_eq!(
        object["steps"],
        json!([
            {"from": "client", "bytes": 31, "to_server": 22, "to_client": 0, "ops": [
                {"dir": "request", "op": "PASS", "n": 22},
                {"dir": "request", "op": "DROP", "n": 7},
                {"dir": "request", "op": "MORE", "n": 1},
            ]},
            {"from": "server", "bytes": 5, "to_server": 22, "to_client": 33, "ops": [
                {"dir": "reply", "op": "PASS", "n": 5}, inject,
            ]},
            {"from": "client", "bytes": 5, "to_server": 22, "to_client": 61, "ops": [
                {"dir": "request", "op": "DROP", "n": 7}, inject,
            ]},
        ])
    );
    assert_eq!(object["to_server"], "Z2V0IGFsbGlhbmNlL2ZsZWV0L2ENCg==");
    assert_eq!(object["closed"], Value::Null);
    let log = object["log"].as_array().expect("a log");
    assert_eq!(log.len(), 3);
    assert_eq!(log[0]["verdict"], "FORWARDED");
    assert_eq!(log[0]["l7proto"], "memcache");
    assert_eq!(log[0]["fields"], json!({"command": "get", "key": "alliance/fleet/a"}));
    assert_eq!(log[0]["rule"], format!("{RULES}[1].toPorts[0].l7[0]"));
    assert_eq!((&log[1]["verdict"], &log[1]["rule"]), (&json!("DROPPED"), &Value::Null));
    assert!(log[1]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    let mut keys: Vec<_> = object.as_object().expect("an object").keys().collect();
    keys.sort();
    assert_eq!(keys, ["closed", "log", "steps", "to_client", "to_server", "transcript"]);
}

#[test]
fn a_connection_that_policy_denies_is_step_nought() {
    let bench = Bench::new();
    let policy = bench.policy();
    let transcript = bench.file("t", "> \"get a\\r\\n\"\n");
    // Without labels nobody is named: neither on this port nor on another.
    for port in ["11211", "22"] {
        let output = bench.run(
            &[
                "--policy",
                policy.to_str().expect("UTF-8"),
                "--to",
                TO,
                "--port",
                port,
                "--output",
                "json",
            ],
            &[&transcript],
        );
        assert_eq!(output.status.code(), Some(0));
        let object = &objects(&output)[0];
        assert_eq!(object["steps"], json!([]));
        assert_eq!((&object["to_server"], &object["to_client"]), (&json!(""), &json!("")));
        assert_eq!(object["closed"]["step"], 0);
        assert_eq!(object["log"].as_array().map(Vec::len), Some(1));
        assert_eq!(object["log"][0]["verdict"], "DROPPED");
    }
}

#[test]
fn an_error_closes_at_its_step_and_ends_are_steps() {
    let bench = Bench::new();
    let policy = bench.policy();
    let transcript =
        bench.file("t", "> \"get a\\r\\n\"\n< \"END\\r\\n\"\n> \"ge\"\n$>\n< \"late\"\n");
    let output = bench.run(
        &[
            "--policy",
            policy.to_str().expect("UTF-8"),
            "--from",
            "role=jedi",
            "--to",
            TO,
            "--port",
            "11211",
            "--output",
            "json",
        ],
        &[&transcript],
    );
    let object = &objects(&output)[0];
    assert_eq!(object["closed"]["step"], 4);
    assert_eq!(object["steps"].as_array().map(Vec::len), Some(4));
    assert_eq!(object["steps"][3]["bytes"], 0);
    assert_eq!(object["log"][1]["verdict"], "ERROR");
}

#[test]
fn several_transcripts_print_a_line_each_and_bad_ones_are_named() {
    let bench = Bench::new();
    let policy = bench.policy();
    let (good, bad) = (bench.file("good", "> \"get a\\r\\n\"\n"), bench.file("bad", "get a\n"));
    let flags = [
        "--policy",
        policy.to_str().expect("UTF-8"),
        "--from",
        "role=jedi",
        "--to",
        TO,
        "--port",
        "11211",
        "--output",
        "json",
    ];
    let output = bench.run(&flags, &[&good, &good]);
    assert_eq!((output.status.code(), objects(&output).len()), (Some(0), 2));
    let output = bench.run(&flags, &[&good, &bad, Path::new("/nonexistent")]);
    assert_eq!((output.status.code(), objects(&output).len()), (Some(3), 1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("bad:1: an arrival starts with"), "{stderr}");
    assert!(stderr.contains("/nonexistent"), "{stderr}");
}

#[test]
fn a_refused_policy_is_status_two_with_the_place() {
    let bench = Bench::new();
    let transcript = bench.file("t", "> \"get a\\r\\n\"\n");
    let seed = fs::read_to_string(bench.policy()).expect("the policy");
    let broken = bench.file("broken.yaml", &seed.replacen("keyPrefix", "keyPrefx", 1));
    for file in [broken, bench.file("syntax.yaml", "a: [1"), bench.file("none.yaml", "kind: Pod\n")]
    {
        let output = bench.run(
            &[
                "--policy",
                file.to_str().expect("UTF-8"),
                "--to",
                TO,
                "--port",
                "11211",
                "--output",
                "json",
            ],
            &[&transcript, &transcript],
        );
        assert_eq!(output.status.code(), Some(2), "{}", file.display());
        let objects = objects(&output);
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0]["policy"], "refused");
        let error = objects[0]["error"].as_str().expect("an error");
        assert!(error.contains(file.to_str().expect("UTF-8")), "{error}");
        if error.contains("keyPrefx") {
            assert!(error.contains(":22: ") && error.contains("keyPrefix"), "{error}");
        }
    }
}

#[test]
fn people_get_a_table_and_are_told_of_what_was_not_expected() {
    let bench = Bench::new();
    let policy = bench.policy();
    let transcript = bench.file(
        "t",
        "> \"get a\\r\\n\"\n# expect: log FORWARDED command=get key=a\n# expect: closed\n",
    );
    let flags = [
        "--policy",
        policy.to_str().expect("UTF-8"),
        "--from",
        "role=jedi",
        "--to",
        TO,
        "--port",
        "11211",
    ];
    let output = bench.run(&flags, &[&transcript]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("PASS 7") && text.contains("FORWARDED command=get key=a"), "{text}");
    assert!(text.contains("NOT AS EXPECTED (line 3): expected closed: it is open"), "{text}");
}

#[test]
fn wrong_arguments_are_status_64() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["--port", "0"], &[]).status.code(), Some(64));
    assert_eq!(bench.run(&["--help"], &[]).status.code(), Some(0));
}
