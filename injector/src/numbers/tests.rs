//! Which numbers are taken, and where they go.

use serde_json::{Value, json};

use super::*;
use crate::{InjectConfig, inject};

fn env(annotation: &str, value: &str) -> Result<Value, String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "annotations": {(annotation): value}},
        "spec": {"containers": [{"name": "app"}]},
    });
    let pod = inject(&pod, &InjectConfig::default()).map_err(|error| error.to_string())?;
    Ok(pod["spec"]["initContainers"][1]["env"].clone())
}

#[test]
fn each_end_of_a_range_reaches_the_sidecar_and_one_beyond_is_refused() {
    for number in &NUMBERS {
        for value in [number.least, number.most] {
            let env = env(number.annotation, &number.unit.write(value)).expect("taken");
            let expected = json!({"name": number.variable, "value": value.to_string()});
            assert!(env.as_array().expect("a list").contains(&expected), "{env}");
        }
        let beyond = [Some(number.most + 1), number.least.checked_sub(1)];
        for value in beyond.into_iter().flatten() {
            let refused = env(number.annotation, &number.unit.write(value)).expect_err("refused");
            assert!(refused.contains(number.annotation) && refused.contains("write one from"));
        }
    }
}

#[test]
fn what_is_no_such_number_is_refused_with_the_range() {
    for text in ["", "two", "1.5", "-1", "2s", "99999999999999999999"] {
        let refused = env("remora.dev/threads", text).expect_err(text);
        assert!(
            refused.ends_with(&format!("`{text}` is none of 1 to 64; write one from 1 to 64")),
            "{refused}"
        );
    }
    let refused = env("remora.dev/drain-delay", "5").expect_err("no unit");
    assert!(refused.ends_with("write one from 0s to 1h"), "{refused}");
    let refused = env("remora.dev/thread", "2").expect_err("misspelt");
    assert!(refused.contains("did you mean `remora.dev/threads`?"), "{refused}");
}

#[test]
fn who_says_nothing_gets_what_the_sidecar_does_by_itself() {
    let env = env("team", "shop").expect("taken");
    for number in &NUMBERS {
        assert!(!env.to_string().contains(number.variable), "{env}");
    }
}
