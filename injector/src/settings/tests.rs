//! What annotations do, and which are refused.

use serde_json::{Value, json};

use crate::{InjectConfig, inject, uninject};

fn pod(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "app"}]},
    })
}

fn sidecar(annotations: &Value) -> Value {
    let pod = pod(annotations);
    let injected = inject(&pod, &InjectConfig::default()).expect("injectable");
    assert_eq!(uninject(&injected).expect("ours"), pod);
    injected["spec"]["initContainers"][1].clone()
}

fn refusal(annotations: &Value) -> String {
    inject(&pod(annotations), &InjectConfig::default()).expect_err("refused").to_string()
}

#[test]
fn requests_limits_and_log_level_reach_the_sidecar() {
    let usual = json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}});
    assert_eq!(sidecar(&json!({"team": "shop"}))["resources"], usual);
    let chosen = sidecar(&json!({
        "remora.dev/cpu-request": "0.05",
        "remora.dev/cpu-limit": "1",
        "remora.dev/memory-request": "32M",
        "remora.dev/memory-limit": "1Gi",
        "remora.dev/log-level": "debug",
    }));
    let expected = json!({
        "requests": {"cpu": "0.05", "memory": "32M"}, "limits": {"cpu": "1", "memory": "1Gi"},
    });
    assert_eq!(chosen["resources"], expected);
    let log = chosen["env"].as_array().expect("a list").last().expect("a variable");
    assert_eq!(log, &json!({"name": "REMORA_LOG", "value": "debug"}));
}

#[test]
fn ranges_end_where_they_say() {
    for (name, values) in [("cpu", ["1m", "64"]), ("memory", ["8Mi", "64Gi"])] {
        for value in values {
            let request = format!("remora.dev/{name}-request");
            let limit = format!("remora.dev/{name}-limit");
            sidecar(&json!({(request): value, (limit): value}));
        }
    }
}

#[test]
fn wrong_values_are_refused_with_a_remedy() {
    let cpu = "write one from 1m to 64, such as 250m";
    let memory = "write one from 8Mi to 64Gi, such as 128Mi";
    let table = [
        ("cpu-request", json!("10 m"), format!("`10 m` is no quantity; {cpu}")),
        ("cpu-request", json!("-1"), format!("`-1` is no quantity; {cpu}")),
        ("cpu-request", json!("999u"), format!("is less than 1m; {cpu}")),
        ("cpu-limit", json!("64001m"), format!("is more than 64; {cpu}")),
        ("memory-limit", json!("64"), format!("is less than 8Mi; {memory}")),
        ("memory-request", json!("65Gi"), format!("is more than 64Gi; {memory}")),
        ("memory-limit", json!(64), "expected a string, found a number; put it in quotes".into()),
        ("cpu-limit", Value::Null, "expected a string, found null; write a string".into()),
        (
            "cpu-limit",
            json!("5m"),
            "is less than the request, 10m; set remora.dev/cpu-request to fit".into(),
        ),
        (
            "memory-limit",
            json!("12Mi"),
            "is less than the request, 16Mi; set remora.dev/memory-request to fit".into(),
        ),
        (
            "memory-request",
            json!("65Mi"),
            "is more than the limit, 64Mi; set remora.dev/memory-limit to fit".into(),
        ),
        (
            "log-level",
            json!("INFO"),
            "`INFO` is no log level; write one of off, error, warn, info, debug, trace".into(),
        ),
        (
            "memory-limits",
            json!("1Gi"),
            "is no annotation of Remora's; did you mean `remora.dev/memory-limit`?".into(),
        ),
        (
            "x",
            json!(""),
            "is no annotation of Remora's; remove it; known here: remora.dev/status, \
             remora.dev/cpu-request, remora.dev/cpu-limit, remora.dev/memory-request, \
             remora.dev/memory-limit, remora.dev/log-level, remora.dev/access-log, \
             remora.dev/access-log-fields, remora.dev/skip-inbound-ports, \
             remora.dev/skip-outbound-ports, remora.dev/skip-outbound-cidrs, \
             remora.dev/drain-delay, remora.dev/drain-timeout, remora.dev/threads, \
             remora.dev/first-byte-timeout, remora.dev/frame-timeout, remora.dev/idle-timeout, \
             remora.dev/peer-timeout, remora.dev/max-connections, \
             remora.dev/max-connections-per-source, remora.dev/max-held-bytes, \
             remora.dev/max-denials-per-second"
                .into(),
        ),
    ];
    for (name, value, message) in table {
        let error = refusal(&json!({(format!("remora.dev/{name}")): value}));
        assert_eq!(error, format!("metadata.annotations[\"remora.dev/{name}\"]: {message}"));
    }
}

#[test]
fn on_a_workload_they_belong_to_the_template() {
    let deployment = |object: Value, template: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "annotations": object},
            "spec": {"template": {
                "metadata": {"annotations": template}, "spec": {"containers": [{"name": "app"}]},
            }},
        })
    };
    let ours = json!({"remora.dev/log-level": "warn"});
    let injected =
        inject(&deployment(json!({"team": "x"}), ours.clone()), &InjectConfig::default());
    assert!(injected.expect("injectable").to_string().contains(r#""value":"warn""#));
    let error = inject(&deployment(ours, json!({})), &InjectConfig::default());
    let message = "metadata.annotations[\"remora.dev/log-level\"]: does nothing on a Deployment; \
                   move it to spec.template.metadata.annotations";
    assert_eq!(error.expect_err("refused").to_string(), message);
    let error = inject(
        &deployment(json!({}), json!({"remora.dev/loglevel": ""})),
        &InjectConfig::default(),
    );
    let error = error.expect_err("refused").to_string();
    assert!(
        error.starts_with("spec.template.metadata.annotations[\"remora.dev/loglevel\"]: "),
        "{error}"
    );
}

#[test]
fn the_access_log_can_be_for_people_and_show_fields() {
    let annotations = json!({
        "remora.dev/access-log": "text", "remora.dev/access-log-fields": "key,query_table",
    });
    let env = sidecar(&annotations)["env"].clone();
    let env = env.as_array().expect("a list");
    for (name, value) in
        [("REMORA_ACCESS_LOG", "text"), ("REMORA_ACCESS_LOG_FIELDS", "key,query_table")]
    {
        assert!(env.contains(&json!({"name": name, "value": value})), "{name}: {env:?}");
    }
    sidecar(&json!({"remora.dev/access-log-fields": "*"}));
    sidecar(&json!({"remora.dev/access-log-fields": "a".repeat(256)}));
    let refused = refusal(&json!({"remora.dev/access-log": "xml"}));
    assert!(
        refused.contains("`xml` is no format of the log; write one of json, text"),
        "{refused}"
    );
    for wrong in ["", "a,", "a b", "*,a", "a\n", &"a".repeat(257)] {
        let refused = refusal(&json!({"remora.dev/access-log-fields": wrong}));
        assert!(refused.contains("is no list of a request's fields"), "{wrong:?}: {refused}");
    }
}
