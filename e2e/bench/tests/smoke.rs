//! A whole run in small: the direct connection, and a partner that anyone
//! could have added. Its adapter, and its proxy, are here.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// Remora's own sidecar, as a partner of another name: there is no other proxy
/// that is here for certain.
const ADAPTER: &str = r#"#!/bin/sh
set -eu
. "$(dirname "$0")/remora.sh"
case $1 in
about) remora_about "Somebody" memcached ;;
command)
    remora_policy ""
    remora_command ;;
esac
"#;

const ABSENT: &str = "#!/bin/sh\necho 'title: Nobody'; echo 'mode: node'; echo 'missing: gone'\n";

/// Where programs lie: cargo builds those of the workspace beside each other.
fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_remora-bench")).parent().expect("a folder")
}

/// A folder of adapters.
fn partners() -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("partners/remora.sh");
    fs::copy(shared, folder.path().join("remora.sh")).expect("copied");
    // What is not executable is not run.
    fs::set_permissions(folder.path().join("remora.sh"), fs::Permissions::from_mode(0o644))
        .expect("mode");
    for (name, text) in [("somebody", ADAPTER), ("nobody", ABSENT)] {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("mode");
    }
    folder
}

fn bench(partners: &Path, out: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_remora-bench"))
        .args(["run", "--quick", "--programs"])
        .arg(programs())
        .arg("--partners")
        .arg(partners)
        .arg("--out")
        .arg(out)
        .args(more)
        .output()
        .expect("it runs")
}

fn budget(folder: &Path, at_most: f64) -> PathBuf {
    let file = folder.join("budget.json");
    let limit = format!(
        r#"{{"figure": "connections.rate", "of": "somebody", "to": "direct", "at_most": {at_most}}}"#
    );
    fs::write(&file, format!(r#"{{"about": "", "limits": [{limit}]}}"#)).expect("written");
    file
}

/// One run for all of it: each takes seconds.
#[test]
fn a_run_measures_reports_and_holds_to_the_budget() {
    let (partners, out) = (partners(), tempfile::tempdir().expect("a directory"));
    let tight = budget(partners.path(), 0.0);
    let only = ["--only", "connections", "--only", "footprint", "--budget"];
    let tight = tight.to_str().expect("UTF-8");
    let output = bench(partners.path(), out.path(), &[&only[..], &[tight]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("budget BROKEN"), "{said}\n{complaint}");
    assert_eq!(output.status.code(), Some(1), "a broken budget fails the run: {said}");

    let json = fs::read_to_string(out.path().join("results.json")).expect("results");
    let results: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(results["failures"], Value::Array(vec![]), "{said}");
    for (figure, partner) in [
        ("connections.rate", "direct"),
        ("connections.rate", "somebody"),
        ("connections.cpu", "somebody"),
        ("footprint.idle", "somebody"),
        ("footprint.start", "somebody"),
    ] {
        let is_it = |sample: &&Value| sample["figure"] == figure && sample["partner"] == partner;
        let samples: Vec<_> =
            results["samples"].as_array().expect("samples").iter().filter(is_it).collect();
        assert_eq!(samples.len(), 3, "{figure} of {partner}: {said}");
        assert!(samples.iter().all(|sample| sample["value"].as_f64() > Some(0.0)), "{samples:?}");
    }
    let html = fs::read_to_string(out.path().join("report.html")).expect("a report");
    assert!(html.contains("missing: gone") && html.contains("Somebody"), "{html}");
    assert!(out.path().join("sidecar-vs-node.svg").is_file());
}

#[test]
fn an_unknown_partner_is_named_beside_the_known() {
    let (partners, out) = (partners(), tempfile::tempdir().expect("a directory"));
    let output = bench(partners.path(), out.path(), &["--partner", "sombody"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("sombody") && complaint.contains("somebody"), "{complaint}");
}
