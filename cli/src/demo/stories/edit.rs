//! Somebody edits the policy while a connection is open.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Story;
use super::memcached::DENIED;
use crate::demo::client::{Answer, Connection, memcached_reply};
use crate::demo::manifests::{MEMCACHED_POLICY, memcached_policy_edited};
use crate::demo::stage::Stage;
use crate::demo::table::Row;

/// How soon an edit must count.
const LIMIT: Duration = Duration::from_secs(1);

/// How long we go on looking, to say how late it was.
const PATIENCE: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"get alliance/fleet/ywing\r\n";
const MISS: &[u8] = b"END\r\n";

/// Moves monitoring to another prefix, by rename as an editor does, and takes
/// that back in place, as `cp` does. All on one connection.
pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    let mut connection = Connection::open(stage.pod("monitoring")?, stage.memcached()?);
    let before = connection.ask(REQUEST, memcached_reply);
    let mut rows = vec![row("before the edit", "allowed", &before, before == reply(MISS), None)];

    let policy = stage.memcached_policy();
    let aside = policy.with_extension("new");
    fs::write(&aside, memcached_policy_edited()?)?;
    fs::rename(&aside, &policy)?;
    let (answer, time) = ask_until(&mut connection, &reply(DENIED));
    let in_time = answer == reply(DENIED) && time <= LIMIT;
    rows.push(row(
        "after an edit that closes it",
        "denied within 1 s",
        &answer,
        in_time,
        Some(time),
    ));

    fs::write(&policy, MEMCACHED_POLICY)?;
    let (answer, time) = ask_until(&mut connection, &reply(MISS));
    let in_time = answer == reply(MISS) && time <= LIMIT;
    rows.push(row(
        "after the edit is taken back",
        "allowed within 1 s",
        &answer,
        in_time,
        Some(time),
    ));
    Ok(rows)
}

fn reply(bytes: &[u8]) -> Answer {
    Answer::Reply(bytes.to_vec())
}

/// Asks again and again on the same connection until the answer is `wanted`.
fn ask_until(connection: &mut Connection, wanted: &Answer) -> (Answer, Duration) {
    let begun = Instant::now();
    loop {
        let answer = connection.ask(REQUEST, memcached_reply);
        let time = begun.elapsed();
        if answer == *wanted || time > PATIENCE || !matches!(answer, Answer::Reply(_)) {
            return (answer, time);
        }
        sleep(Duration::from_millis(1));
    }
}

fn row(when: &str, promise: &str, answer: &Answer, came_true: bool, time: Option<Duration>) -> Row {
    let denied = *answer == reply(DENIED);
    let said = match answer {
        _ if denied => "denied".to_owned(),
        Answer::Reply(bytes) if bytes == MISS => "allowed".to_owned(),
        other => other.to_string(),
    };
    Row {
        story: Story::Edit,
        client: "monitoring".to_owned(),
        request: format!("get alliance/fleet/ywing, {when}"),
        promise: promise.to_owned(),
        happened: match time {
            Some(time) => format!("{said} after {} ms, same connection", time.as_millis()),
            None => said,
        },
        denial: denied.then(|| DENIED.to_vec()),
        came_true,
    }
}
