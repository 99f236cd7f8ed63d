//! The demo, as a person or a tool runs it.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn remora() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    test.ancestors().nth(2).expect("target/PROFILE").join("remora")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Runs a demo that cannot start, and checks that it says why, with status 2,
/// and that nothing of it stays.
fn assert_lacks(mut command: Command, what: &str) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains(what), "{}", text(&output));
    let left: Vec<_> = ["/run/netns", "/run", "/tmp"]
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains(&format!("remora-node-{pid}-")))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn every_row_of_the_demo_comes_true() {
    let output = Command::new(remora()).args(["demo", "--json"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.to_string().contains("CLIENT_ERROR access denied"), "{report}");
}

#[test]
fn audit_mode_forwards_and_tells() {
    let output =
        Command::new(remora()).args(["demo", "--audit", "--json"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report.to_string().contains("allowed, AUDIT in the log"), "{report}");
}

#[test]
fn without_root_the_demo_says_so_and_leaves_nothing() {
    // The build's directory may be closed to others: run a copy.
    let dir = tempfile::tempdir().expect("a directory");
    open_to_all(dir.path());
    let copy = dir.path().join("copy-of-the-demo");
    fs::copy(remora(), &copy).expect("copied");
    let mut command = Command::new(&copy);
    command.arg("demo").uid(65534).gid(65534);
    assert_lacks(command, "root");
}

#[test]
fn without_memcached_the_demo_says_so_and_leaves_nothing() {
    // In a mount namespace of its own the program is not there.
    let script = "mount --bind /dev/null \"$(command -v memcached)\" && exec \"$0\" demo";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(remora())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    assert_lacks(command, "memcached");
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("opened");
}
