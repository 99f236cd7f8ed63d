//! The agent on Kubernetes as a process: what it says when there is none.

use std::process::Command;

#[test]
fn without_an_api_server_it_says_where_it_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("kubeconfig");
    let output = Command::new(env!("CARGO_BIN_EXE_remora-agent"))
        .arg("kubernetes")
        .env_clear()
        .env("KUBECONFIG", &missing)
        .output()
        .expect("started");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{log}");
    assert!(log.contains("no API server: ") && log.contains(&*missing.to_string_lossy()), "{log}");
    assert!(log.contains("let KUBECONFIG name a file"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}
