//! The agent as a process: its log, its exit status, its signals.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use common::{Folders, PATIENCE, POLL, Stream, connect, pod, policy};

/// A running agent, and the lines that it has logged.
struct Agent {
    process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Agent {
    fn start(folders: &Folders) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_remora-agent"))
            .arg("--dir")
            .arg(folders.manifests())
            .arg("--sockets")
            .arg(folders.sockets())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { process, lines, seen: Vec::new() }
    }

    /// A line that was logged and holds all of these.
    fn find(&mut self, parts: &[&str]) -> Option<String> {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().find(|line| parts.iter().all(|part| line.contains(part))).cloned()
    }

    /// Waits for such a line.
    async fn await_line(&mut self, parts: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        while self.find(parts).is_none() {
            assert!(Instant::now() < deadline, "{parts:?} was not logged: {:#?}", self.seen);
            tokio::time::sleep(POLL).await;
        }
    }

    fn terminate(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        assert!(self.process.wait().expect("waited").success());
        self.seen.extend(self.lines.iter());
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn bad_input_is_named_and_keeps_the_others_served() {
    let cut = policy("jedi").replace("namespace: shop", "namespace: other");
    let folders = Folders::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("leia.yaml", &pod("leia", "role: jedi", "10.0.0.2")),
        ("half.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: half, labels: {"),
        ("cut.yaml", &cut[..cut.len() - 5]),
        ("new.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: new}\nspec: {}\n"),
        ("twin.yaml", &pod("twin", "role: jedi", "10.0.0.2")),
        ("wrong.yaml", &policy("jedi").replace("READ", "RAED").replace("droids", "wrong")),
        ("empty.yaml", ""),
    ]);
    let mut agent = Agent::start(&folders);
    agent.await_line(&["INFO ready: serving 3 pods, 2 policies"]).await;
    assert!(folders.socket("droid").exists() && folders.socket("twin").exists());
    agent.await_line(&["ERROR", "half.yaml:", "nothing of it is in force"]).await;
    agent.await_line(&["ERROR", "cut.yaml:", "EVERY POD OF NAMESPACE other IS CLOSED"]).await;
    agent.await_line(&["ERROR", "empty.yaml:1: holds no document (truncated?)"]).await;
    agent.await_line(&["ERROR", "wrong.yaml:10: ", "shop/wrong is refused", "CLOSED"]).await;
    agent.await_line(&["ERROR", "leia.yaml:1: status.podIPs: 10.0.0.2", "twin.yaml:1"]).await;
    agent.await_line(&["INFO", "new.yaml:1: pod default/new: ", "it has no address yet"]).await;

    folders.write("wrong.yaml", "kind: [");
    agent.await_line(&["ERROR", "wrong.yaml:", "its last good 1 document(s) stay in force"]).await;
    folders.remove("wrong.yaml");
    agent.await_line(&["INFO", "wrong.yaml: is gone"]).await;
    agent.await_line(&["INFO serving 3 pods, 1 policies"]).await;
    let lines = agent.terminate();
    let twins = lines.iter().filter(|line| line.contains("claimed by several")).count();
    assert_eq!(twins, 1, "a state that lasts is told once: {lines:#?}");
}

#[tokio::test]
async fn a_refusal_by_the_sidecar_is_logged_once_on_one_line() {
    let folders = Folders::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("policy.yaml", &policy("jedi")),
    ]);
    let mut agent = Agent::start(&folders);
    agent.await_line(&["ready: serving 1 pods, 1 policies"]).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut stream = Stream::policies(&channel).await.expect("open");
    stream.subscribe().await;
    let response = stream.next().await.expect("a response");
    stream.answer(&response, Some("unknown field 9\nERROR forged")).await;
    stream.answer(&response, Some("again")).await;
    let mut hosts = Stream::hosts(&channel).await.expect("open");
    hosts.subscribe().await;
    hosts.accept().await;
    agent.await_line(&["INFO shop/droid: accepted hosts version"]).await;
    let again = Stream::policies(&channel).await.expect("open");
    again.subscribe().await;
    agent.await_line(&["WARN shop/droid: policy version", "is not sent"]).await;
    agent
        .await_line(&["ERROR shop/droid: its proxy REFUSED policy", "unknown field 9\\nERROR"])
        .await;
    let lines = agent.terminate();
    assert_eq!(lines.iter().filter(|line| line.contains("REFUSED")).count(), 1, "{lines:#?}");
}

#[test]
fn wrong_flags_and_folders_exit_64_with_a_remedy() {
    let folders = Folders::new(&[]);
    let nowhere = folders.manifests().join("nowhere");
    let file = folders.manifests().join("file");
    std::fs::write(&file, "").expect("written");
    let run = |dir: &std::path::Path, sockets: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remora-agent"));
        command.arg("--dir").arg(dir).arg("--sockets").arg(sockets).output().expect("run")
    };
    for (output, part) in [
        (run(&nowhere, &folders.sockets()), "nowhere: No such file or directory"),
        (run(&file, &folders.sockets()), "--dir"),
        (run(&folders.manifests(), &file), "--sockets"),
    ] {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(part) && text.contains("; give a directory"), "{text}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora-agent"));
    let output = command.arg("--dri").output().expect("run");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--dir"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora-agent"));
    let output = command.arg("--help").output().expect("run");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Exit status:"));
}
