//! The binary: exit codes, messages and signals.

use std::{
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

fn sidecar(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora-sidecar"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command
}

fn output(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = sidecar(arguments, environment).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// A port that was free a moment ago.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_wrong_environment_is_code_64_and_every_problem() {
    let (code, text) = output(&["run"], &[("REMORA_AGENT", "tcp:1.2.3.4")]);
    assert_eq!(code, Some(64));
    for name in ["REMORA_AGENT", "REMORA_POD_NAME", "REMORA_POD_UID", "REMORA_POD_IPS"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    let (code, text) = output(&["run"], &[("REMORA_PROBES", "{\"/probe/a/b\":{}}")]);
    assert_eq!(code, Some(64));
    assert!(text.contains("REMORA_PROBES: /probe/a/b: the path is neither"), "{text}");
    let (code, _) = output(&["ready"], &[("REMORA_ADMIN_PORT", "x")]);
    assert_eq!(code, Some(64));
}

#[test]
fn wrong_arguments_are_code_2_and_help_tells_the_codes() {
    assert_eq!(output(&["rnu"], &[]).0, Some(2));
    let (code, text) = output(&["--help"], &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Exit codes:") && text.contains("64"), "{text}");
    assert!(output(&["run", "--help"], &[]).1.contains("REMORA_AGENT"));
}

#[test]
fn ready_without_a_sidecar_says_so() {
    let (code, text) = output(&["ready"], &[("REMORA_ADMIN_PORT", &free_port())]);
    assert_eq!(code, Some(1));
    assert!(text.contains("does not answer on 127.0.0.1:"), "{text}");
}

#[test]
fn who_finds_endpoints_says_what_is_wrong_and_whether_it_is_done() {
    assert_eq!(output(&["endpoints"], &[]).0, Some(2));
    let folder = TempDir::new().unwrap();
    let into = folder.path().to_str().unwrap();
    let (code, text) = output(&["endpoints", "--into", into], &[]);
    assert_eq!(code, Some(64));
    assert!(text.contains("REMORA_AGENT: is not set"), "{text}");
    let socket = [("REMORA_AGENT", "unix:/run/remora/agent.sock")];
    let (code, text) = output(&["endpoints", "--into", into], &socket);
    assert_eq!(code, Some(64));
    assert!(text.contains("a socket tells of one pod"), "{text}");
    let (code, text) = output(&["endpoints", "--into", into, "--check"], &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("has not told of this node's pods yet"), "{text}");
    std::fs::write(folder.path().join(".listed"), "").unwrap();
    assert_eq!(output(&["endpoints", "--into", into, "--check"], &[]).0, Some(0));
}

#[test]
fn a_node_without_its_folder_of_endpoints_says_so() {
    for wrong in [&["node"][..], &["node", "--endpoints", "/nowhere", "--threads", "0"]] {
        assert_eq!(output(wrong, &[]).0, Some(2), "{wrong:?}");
    }
    let (code, text) = output(&["node", "--endpoints", "/nowhere"], &[("REMORA_LOG", "chatty")]);
    assert_eq!(code, Some(64));
    assert!(text.contains("REMORA_LOG: `chatty` is no level"), "{text}");
    let (code, text) = output(&["node", "--endpoints", "/nowhere"], &[]);
    assert_eq!(code, Some(1));
    // Whoever is not root does not come so far.
    let says = ["the folder of endpoints /nowhere: No such file", "starts as root"];
    assert!(says.iter().any(|says| text.contains(says)), "{text}");
}

#[test]
fn it_waits_for_its_agent_until_it_is_terminated() {
    let dir = TempDir::new().unwrap();
    let agent = format!("unix:{}", dir.path().join("agent.sock").display());
    let admin = free_port();
    let environment = [
        ("REMORA_AGENT", agent.as_str()),
        ("REMORA_POD_NAME", "droid"),
        ("REMORA_POD_NAMESPACE", "default"),
        ("REMORA_POD_UID", "7a"),
        ("REMORA_POD_IPS", "10.0.0.1"),
        ("REMORA_INBOUND_PORT", "0"),
        ("REMORA_METRICS_PORT", "0"),
        ("REMORA_HEALTH_PORT", "0"),
        ("REMORA_ADMIN_PORT", admin.as_str()),
    ];
    let mut command = sidecar(&["run"], &environment);
    let mut running = Running(command.stderr(Stdio::null()).spawn().unwrap());
    let waiting = format!("waiting for the first policy from {agent}: No such file");
    let started = Instant::now();
    loop {
        let (code, text) = output(&["ready"], &[("REMORA_ADMIN_PORT", &admin)]);
        assert_eq!(code, Some(1));
        if text.contains(&waiting) {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{text}");
    }
    let kill = format!("kill -TERM {}", running.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}
