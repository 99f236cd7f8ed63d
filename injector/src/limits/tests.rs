//! What annotations may tighten, and that they can't widen anything.

use serde_json::{Value, json};

use super::*;
use crate::{InjectConfig, inject};

fn injected(annotations: &Value, limits: Limits) -> Result<Value, String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "app"}]},
    });
    let config = InjectConfig { limits, ..InjectConfig::default() };
    let pod = inject(&pod, &config).map_err(|error| error.to_string())?;
    Ok(pod["spec"]["initContainers"][1]["env"].clone())
}

/// The value of a variable, if the sidecar is given it.
fn value(env: &Value, variable: &str) -> Option<String> {
    let entry = env.as_array()?.iter().find(|entry| entry["name"] == variable)?;
    Some(entry["value"].as_str()?.to_owned())
}

fn installed(setting: &str) -> Result<Limits, String> {
    Ok(Limits::default().with(setting.parse()?))
}

#[test]
fn what_nobody_asks_for_is_not_written() {
    let env = injected(&json!({}), Limits::default()).expect("injectable");
    for limit in LIMITS {
        assert_eq!(value(&env, limit.variable), None);
    }
}

#[test]
fn each_limit_can_be_tightened_to_its_least_and_widened_by_nobody() {
    for limit in LIMITS {
        let ask = |number: u64| {
            let annotations = json!({(limit.annotation): limit.unit.write(number)});
            injected(&annotations, Limits::default())
        };
        let env = ask(limit.least).expect("the least");
        assert_eq!(value(&env, limit.variable), Some(limit.least.to_string()));
        let env = ask(limit.default).expect("the installation's own");
        assert_eq!(value(&env, limit.variable), None);
        let refusal = ask(limit.default + 1).expect_err("one more");
        assert!(refusal.contains("is more than this installation's"), "{refusal}");
        let refusal = ask(limit.least - 1).expect_err("one less");
        assert!(refusal.contains("is less than"), "{refusal}");
    }
}

#[test]
fn an_installation_moves_the_bound_either_way() {
    let wide = installed("remora.dev/first-byte-timeout=5m").expect("a limit");
    let env = injected(&json!({}), wide.clone()).expect("injectable");
    assert_eq!(value(&env, "REMORA_FIRST_BYTE_SECONDS").as_deref(), Some("300"));
    let asked = json!({"remora.dev/first-byte-timeout": "2m"});
    let env = injected(&asked, wide).expect("injectable");
    assert_eq!(value(&env, "REMORA_FIRST_BYTE_SECONDS").as_deref(), Some("120"));
    let tight = installed("remora.dev/max-connections=100").expect("a limit");
    let refusal = injected(&json!({"remora.dev/max-connections": "101"}), tight);
    let refusal = refusal.expect_err("more than the installation's");
    assert!(refusal.contains("at most 100, or have the installation allow more"), "{refusal}");
    let refusal = installed("remora.dev/max-conns=1").expect_err("no limit");
    assert!(refusal.contains("remora.dev/max-connections"), "{refusal}");
    let refusal = installed("remora.dev/idle-timeout=0s").expect_err("none");
    assert_eq!(refusal, "is less than 1s; write at least 1s");
}

#[test]
fn values_are_of_their_unit_and_nothing_else() {
    for text in ["10", "10 s", "1.5m", "-1s", "+1s", "s", "", "1d", "18446744073709551615h"] {
        let refusal = injected(&json!({"remora.dev/idle-timeout": text}), Limits::default());
        let refusal = refusal.expect_err(text);
        assert!(refusal.contains("is no time; write one from 1s to 1h"), "{text}: {refusal}");
    }
    for (annotation, text) in
        [("remora.dev/max-connections", "10k"), ("remora.dev/max-held-bytes", "64M")]
    {
        let refusal = injected(&json!({(annotation): text}), Limits::default());
        assert!(refusal.expect_err(text).contains("is no "), "{annotation}={text}");
    }
    let env = injected(&json!({"remora.dev/max-held-bytes": "64Mi"}), Limits::default());
    assert_eq!(
        value(&env.expect("injectable"), "REMORA_MAX_HELD_BYTES"),
        Some((64 << 20).to_string())
    );
}

#[test]
fn what_is_written_is_read_back() {
    for unit in [Unit::Seconds, Unit::Number, Unit::Bytes] {
        for value in [0, 1, 59, 60, 3600, 3601, 1 << 20, 5 << 30] {
            assert_eq!(unit.parse(&unit.write(value)), Some(value), "{unit:?}");
        }
    }
}
