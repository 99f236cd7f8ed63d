//! A start without the agent: what was saved is in force, or nothing is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use remora_sidecar::config::OriginalDestination;
use tempfile::TempDir;

use crate::support::{CLIENT, Kind, LineServer, Pod, get, hosts, l7, policy, until};

/// A sidecar before `app` that keeps its policy at `path`; its agent says nothing.
async fn started(app: &LineServer, path: &Path) -> Pod {
    let (app, path) = (app.address, path.to_owned());
    Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(app);
        config.snapshot = Some(path);
    })
    .await
}

/// Has a sidecar save a policy that allows `word`, and stops it.
async fn save(app: &LineServer, path: &Path, word: &str) {
    let mut pod = started(app, path).await;
    pod.agent.policy("1", &policy(vec![l7(app.address.port(), CLIENT, &[word])]));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    until("the snapshot", || async { pod.metric("remora_snapshot_saved").await == 1 }).await;
    assert!(path.exists());
    pod.stop_and_read_log().await;
}

async fn denies_everything_and_says(pod: &mut Pod, why: &str) {
    pod.says(&format!("the saved policy {}", "/")).await;
    pod.says(why).await;
    pod.connect().await.expect_reset().await;
    assert_eq!(pod.metric("remora_snapshot_refused").await, 1);
}

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    (dir, path)
}

#[tokio::test]
async fn a_start_without_the_agent_judges_as_before() {
    let app = LineServer::start().await;
    let (_dir, path) = place();
    save(&app, &path, "hello").await;
    let mut pod = started(&app, &path).await;
    assert_eq!(pod.not_ready().await, None);
    let mut client = pod.connect().await;
    client.send("hello\nbye\nhello\n").await;
    client.expect("ok hello\ndenied\nok hello\n").await;
    assert_eq!(pod.line().await["policy_version"], "1");
    let (_, body) = get("127.0.0.1", pod.addresses.admin, "/policy").await;
    assert!(body.contains("\"source\":\"disk\""), "{body}");

    // The agent's word counts as soon as it is whole, and is what is saved then.
    pod.agent.hosts("1", &hosts(2002));
    pod.agent.policy("2", &policy(vec![l7(app.address.port(), 2002, &["bye"])]));
    pod.agent.acked(Kind::Policies, "2").await;
    client.send("hello\nbye\n").await;
    client.expect("denied\nok bye\n").await;
    until("the new snapshot", || async { path.exists() }).await;
    drop(client);
    pod.stop_and_read_log().await;
    let pod = started(&app, &path).await;
    let mut client = pod.connect().await;
    client.send("hello\nbye\n").await;
    client.expect("denied\nok bye\n").await;
}

#[tokio::test]
async fn without_anything_saved_everything_is_denied() {
    let app = LineServer::start().await;
    let (_dir, path) = place();
    let mut pod = started(&app, &path).await;
    pod.says("it has sent nothing yet").await;
    pod.connect().await.expect_reset().await;
    assert_eq!(pod.metric("remora_snapshot_refused").await, 0);
    assert_eq!(pod.line().await["policy_version"], "");
}

#[tokio::test]
async fn what_is_corrupt_is_refused_until_the_agent_answers() {
    let app = LineServer::start().await;
    let (_dir, path) = place();
    save(&app, &path, "hello").await;
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut pod = started(&app, &path).await;
    denies_everything_and_says(&mut pod, "is refused: its checksum is wrong").await;
    pod.agent.policy("1", &policy(vec![l7(app.address.port(), CLIENT, &["hello"])]));
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    assert_eq!(pod.not_ready().await, None);
}

#[tokio::test]
async fn what_another_pod_has_saved_is_refused() {
    let app = LineServer::start().await;
    let (_dir, path) = place();
    save(&app, &path, "hello").await;
    let (address, at) = (app.address, path.clone());
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(address);
        config.snapshot = Some(at);
        config.pod.uid = "7b".into();
    })
    .await;
    denies_everything_and_says(&mut pod, "is of the pod with uid \"7a\"").await;
    // The same pod, with another address since: its policy is not for this one.
    let mut pod = Pod::configured(|config| {
        config.original_destination = OriginalDestination::Fixed(address);
        config.snapshot = Some(path);
        config.pod.ips = vec!["127.0.0.7".parse().unwrap()];
    })
    .await;
    denies_everything_and_says(&mut pod, "it is another pod's").await;
}

#[tokio::test]
async fn what_was_taken_back_is_not_on_disk_when_the_change_is_acknowledged() {
    let app = LineServer::start().await;
    let (_dir, path) = place();
    let port = app.address.port();
    let mut pod = started(&app, &path).await;
    pod.agent.hosts("1", &hosts(CLIENT));
    for version in 1..50 {
        let (word, version) = (format!("word-{version}-"), version.to_string());
        pod.agent.policy(&version, &policy(vec![l7(port, CLIENT, &[&word])]));
        pod.agent.acked(Kind::Policies, &version).await;
        // Absent, or the newest: never an older one.
        if let Ok(bytes) = fs::read(&path) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains(&word), "{version}: an older policy is on disk");
        }
    }
}

#[tokio::test]
async fn a_full_disk_costs_the_snapshot_and_nothing_else() {
    let app = LineServer::start().await;
    let (_dir, path) = place();
    save(&app, &path, "hello").await;
    let mut pod = started(&app, &path).await;
    // `/dev/full` takes no byte, as a full disk. The link goes with the attempt.
    let full = path.with_extension("tmp");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.policy("2", &policy(vec![l7(app.address.port(), CLIENT, &["bye"])]));
    pod.agent.acked(Kind::Policies, "2").await;
    until("the failure", || async { !full.exists() }).await;
    assert!(!path.exists(), "the policy of before must not come back");
    let mut client = pod.connect().await;
    client.send("hello\nbye\n").await;
    client.expect("denied\nok bye\n").await;
    assert_eq!(pod.metric("remora_snapshot_saved").await, 0);

    // With room again the next change is saved.
    pod.agent.policy("3", &policy(vec![l7(app.address.port(), CLIENT, &["tea"])]));
    pod.agent.acked(Kind::Policies, "3").await;
    until("the snapshot", || async { path.exists() }).await;
}
