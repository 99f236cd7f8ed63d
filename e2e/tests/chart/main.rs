//! The chart: linted, rendered and compared, without a cluster.
//!
//! Helm is what `cargo xtask setup` brings; `REMORA_HELM` names another one.

mod render;
mod rules;
mod values;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The oldest Kubernetes that the chart is for.
const OLDEST: &str = "1.33.0";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder")
}

fn helm(args: &[&str]) -> Output {
    let own = || {
        let test = env::current_exe().expect("a path");
        let target = test.ancestors().nth(3).expect("target/PROFILE/deps").to_owned();
        target.join("helm/bin/helm")
    };
    let program = env::var_os("REMORA_HELM").map_or_else(own, PathBuf::from);
    let output = Command::new(&program).args(args).current_dir(root()).output();
    output.unwrap_or_else(|error| {
        panic!("{}: {error}; run cargo xtask setup, or set REMORA_HELM", program.display())
    })
}

/// What the chart renders to with these values; or what Helm says.
fn rendered(set: &[&str]) -> Result<String, String> {
    let fixed =
        ["template", "remora", "charts/remora", "--namespace", "remora", "--kube-version", OLDEST];
    let set = set.iter().flat_map(|value| ["--set", value]);
    let args: Vec<_> = fixed.into_iter().chain(set).collect();
    let output = helm(&args);
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).expect("UTF-8")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The objects in a stream of YAML.
fn objects(yaml: &str) -> Vec<Value> {
    let documents = remora_manifest::read(yaml, Path::new("rendered"));
    let values = documents.into_iter().map(|document| document.expect("YAML").to_json());
    values.filter(Value::is_object).collect()
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().expect("a kind")
}

fn find<'a>(objects: &'a [Value], of: &str, name: &str) -> &'a Value {
    let is_it = |object: &&Value| kind(object) == of && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {of} {name}"))
}
