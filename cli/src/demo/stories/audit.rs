//! The memcached policy in audit mode: nobody is denied anything, and the
//! access log says who would have been.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Story;
use crate::demo::client::{Answer, Connection, memcached_reply};
use crate::demo::manifests::{MEMCACHED_POLICY, memcached_policy_audited};
use crate::demo::stage::Stage;
use crate::demo::table::Row;

/// How long the edit, and the log, may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Each client, a request, and the verdict that the log is to hold.
const ASKED: [(&str, &str, &[u8], &str); 4] = [
    (
        "maintenance",
        "set alliance/fleet/audit",
        b"set alliance/fleet/audit 0 0 1\r\na\r\n",
        "FORWARDED",
    ),
    ("monitoring", "get alliance/fleet/audit", b"get alliance/fleet/audit\r\n", "FORWARDED"),
    ("monitoring", "set alliance/fleet/audit", b"set alliance/fleet/audit 0 0 1\r\nb\r\n", "AUDIT"),
    ("outsider", "get alliance/fleet/audit", b"get alliance/fleet/audit\r\n", "AUDIT"),
];

/// Puts the policy into audit mode, asks, looks into the log, and takes it back.
pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    fs::write(stage.memcached_policy(), memcached_policy_audited())?;
    let played = watched(stage);
    fs::write(stage.memcached_policy(), MEMCACHED_POLICY)?;
    played
}

fn watched(stage: &Stage) -> Result<Vec<Row>> {
    wait_until_open(stage)?;
    let mut rows = Vec::new();
    for (client, title, bytes, verdict) in ASKED {
        let seen = entries(stage)?.len();
        let pod = stage.pod(client)?;
        let answer = Connection::open(pod, stage.memcached()?).ask(bytes, memcached_reply);
        let logged = logged_after(stage, seen, &format!("{}:", pod.ipv4()))?;
        let passed = matches!(&answer, Answer::Reply(reply) if !reply.starts_with(b"CLIENT_ERROR"));
        rows.push(Row {
            story: Story::Audit,
            client: client.to_owned(),
            request: title.to_owned(),
            promise: format!("allowed, {verdict} in the log"),
            happened: format!("{}, {logged} in the log", if passed { "allowed" } else { "denied" }),
            denial: None,
            came_true: passed && logged == verdict,
        });
    }
    Ok(rows)
}

/// The edit counts once whom the policy names nowhere gets an answer.
fn wait_until_open(stage: &Stage) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut connection = Connection::open(stage.pod("outsider")?, stage.memcached()?);
        let answer = connection.ask(b"version\r\n", memcached_reply);
        if matches!(answer, Answer::Reply(_)) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "audit mode did not come: {answer}");
        sleep(Duration::from_millis(10));
    }
}

/// The verdict of the first entry after these that is about this source.
fn logged_after(stage: &Stage, seen: usize, source: &str) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = entries(stage)?;
        let is_ours =
            |entry: &&Value| entry["source"].as_str().is_some_and(|own| own.starts_with(source));
        if let Some(entry) = entries.iter().skip(seen).find(is_ours) {
            return Ok(entry["verdict"].as_str().context("an entry without a verdict")?.to_owned());
        }
        anyhow::ensure!(Instant::now() < deadline, "nothing of {source} in the log");
        sleep(Duration::from_millis(10));
    }
}

/// The access log of memcached's sidecar.
fn entries(stage: &Stage) -> Result<Vec<Value>> {
    let log = stage.pod("memcached")?.logs("remora")?;
    Ok(log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|entry: &Value| entry.get("verdict").is_some())
        .collect())
}
