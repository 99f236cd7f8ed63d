//! Values: each is in the schema, and what is not is refused.

use std::fs;

use remora_injector::{LIMITS, Limits, Setting};
use serde_json::Value;

use crate::{objects, rendered, root};

fn committed(file: &str) -> Value {
    let text = fs::read_to_string(root().join("charts/remora").join(file)).expect("a file");
    let [value] = objects(&text).try_into().expect("one document");
    value
}

/// The part of a schema that is meant.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.trim_start_matches('#')).expect("a definition"),
        None => schema,
    }
}

fn compare(values: &Value, schema: &Value, root: &Value, at: &str) {
    let schema = resolved(schema, root);
    let (Some(values), Some(properties)) = (values.as_object(), schema["properties"].as_object())
    else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{at} takes anything");
    for (name, value) in values {
        let inner =
            properties.get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the schema"));
        compare(value, inner, root, &format!("{at}.{name}"));
    }
    for name in properties.keys().filter(|name| *name != "global") {
        assert!(values.contains_key(name), "{at}.{name} has no default in values.yaml");
    }
}

#[test]
fn every_value_is_in_the_schema_and_every_property_has_a_default() {
    let schema = committed("values.schema.json");
    compare(&committed("values.yaml"), &schema, &schema, "values");
}

#[test]
fn the_limits_are_those_that_hold_anyway() {
    let values = committed("values.yaml");
    let given = values["injector"]["limits"].as_object().expect("a map");
    assert_eq!(given.len(), LIMITS.len());
    let settings = given.iter().map(|(name, value)| {
        let text = format!("remora.dev/{name}={}", value.as_str().expect("a text"));
        text.parse::<Setting>().unwrap_or_else(|error| panic!("{text}: {error}"))
    });
    assert_eq!(settings.fold(Limits::default(), Limits::with), Limits::default());
}

#[test]
fn values_that_are_wrong_are_refused_by_name() {
    let table = [
        ("injektor.enabled=true", "injektor"),
        ("ha=maybe", "ha"),
        ("mode=both", "mode"),
        ("node.threads=0", "threads"),
        ("node.threads=65", "threads"),
        ("node.accessLog=xml", "accessLog"),
        ("node.enabled=true", "enabled"),
        ("injector.port=80", "port"),
        ("injector.port=16020", "port"),
        ("injector.timeoutSeconds=31", "timeoutSeconds"),
        ("injector.ceiling.cpu=fast", "cpu"),
        ("injector.ceiling.threads=65", "threads"),
        ("injector.limits.idle-timeout=long", "idle-timeout"),
        ("injector.limits.max-conns=1", "max-conns"),
        ("images.sidecar.digest=sha256:1", "digest"),
        ("images.pullPolicy=Sometimes", "pullPolicy"),
        ("certificates.mode=magic", "mode"),
        ("certificates.mode=provided", "is needed with certificates.mode provided"),
        ("certificates.mode=cert-manager", "certificates.issuer.name is needed"),
        ("agent.clusterCidrs={all}", "clusterCidrs"),
        ("monitoring.podMonitor.interval=often", "interval"),
    ];
    for (value, words) in table {
        let error = rendered(&[value]).expect_err(value);
        assert!(error.contains(words), "{value}: {error}");
    }
}

/// As `--reuse-values` takes them.
#[test]
fn values_of_the_release_before_modes_make_sidecars() {
    let before = ["mode=null", "node=null"];
    assert_eq!(rendered(&before), rendered(&[]));
    let error = rendered(&["node=null", "mode=node"]).expect_err("no node");
    assert!(error.contains("--reset-then-reuse-values"), "{error}");
}
