//! memcached's sidecar dies in the middle of everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use remora_netns::Signal;

use super::Story;
use super::memcached::DENIED;
use crate::demo::client::{Answer, Connection, lines, memcached_reply};
use crate::demo::stage::Stage;
use crate::demo::table::Row;

/// How soon the sidecar must be back; a startup probe comes once a second.
const LIMIT: Duration = Duration::from_secs(10);

const GET: &[u8] = b"get alliance/fleet/awing\r\n";
const SET: &[u8] = b"set alliance/fleet/awing 0 0 3\r\nred\r\n";
const MISS: &[u8] = b"END\r\n";

/// What the droid's client saw meanwhile.
struct Elsewhere {
    asked: u32,
    failure: Option<Answer>,
    slowest: Duration,
}

pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let elsewhere = scope.spawn(|| keep_asking_the_droid(stage, &over));
        let rows = kill_and_wait(stage);
        over.store(true, Ordering::Relaxed);
        let elsewhere = elsewhere.join().map_err(|_| anyhow!("the droid's client panicked"))??;
        let mut rows = rows?;
        rows.insert(1, undisturbed(&elsewhere));
        Ok(rows)
    })
}

/// One connection to the droid, asked all the while.
fn keep_asking_the_droid(stage: &Stage, over: &AtomicBool) -> Result<Elsewhere> {
    let mut connection = Connection::open(stage.pod("jedi")?, stage.droid()?);
    let mut seen = Elsewhere { asked: 0, failure: None, slowest: Duration::ZERO };
    while !over.load(Ordering::Relaxed) && seen.failure.is_none() {
        let begun = Instant::now();
        let answer = connection.ask(b"READ plans/hangar\r\n", lines(1));
        seen.slowest = seen.slowest.max(begun.elapsed());
        seen.asked += 1;
        seen.failure = Some(answer).filter(|answer| *answer != Answer::Reply(b"OK READ plans/hangar\r\n".to_vec()));
        sleep(Duration::from_millis(2));
    }
    Ok(seen)
}

fn undisturbed(seen: &Elsewhere) -> Row {
    let happened = match &seen.failure {
        None => format!("{} answers, the slowest after {} ms", seen.asked, seen.slowest.as_millis()),
        Some(answer) => format!("{answer} after {} answers", seen.asked - 1),
    };
    let came_true = seen.failure.is_none() && seen.asked > 1;
    row("jedi", "READs on the droid's open connection meanwhile", "all answered", happened, came_true)
}

fn kill_and_wait(stage: &Stage) -> Result<Vec<Row>> {
    let memcached = stage.pod("memcached")?;
    let (client, to) = (stage.pod("monitoring")?, stage.memcached()?);
    let mut open = Connection::open(client, to);
    let before = open.ask(GET, memcached_reply);
    let restarts = memcached.restarts("remora")?;
    let app = memcached.pid("memcached")?;

    memcached.kill("remora", Signal::KILL)?;
    let killed = Instant::now();
    let cut = open.ask(GET, memcached_reply);
    let gone = before == reply(MISS) && matches!(cut, Answer::Reset | Answer::Closed);
    let mut rows = vec![row("monitoring", "get on its open connection", "the connection ends", cut.to_string(), gone)];

    let (opened_by, answer) = ask_anew_until_served(stage, killed)?;
    let bypassed = matches!(&opened_by, Some(reply) if *reply != Answer::Reply(MISS.to_vec()));
    let back = answer == reply(MISS) && !bypassed;
    let happened = match answer {
        Answer::Reply(_) => format!("closed, then answered after {} ms", killed.elapsed().as_millis()),
        other => other.to_string(),
    };
    memcached.wait_restarted("remora", restarts + 1, LIMIT)?;
    rows.push(row("monitoring", "get on new connections", "closed until it is back, then answered", happened, back));

    let denied = Connection::open(client, to).ask(SET, memcached_reply);
    let mut still = row("monitoring", "set", "denied, as before", denied.to_string(), denied == reply(DENIED));
    if still.came_true {
        still.happened = "denied".to_owned();
        still.denial = Some(DENIED.to_vec());
    }
    rows.push(still);
    let happened = format!("restarted {} time(s); the app goes on", memcached.restarts("remora")? - restarts);
    let kept = memcached.pid("memcached")? == app && memcached.restarts("remora")? == restarts + 1;
    rows.push(row("kubelet", "the sidecar's container", "restarted once, the app not at all", happened, kept));
    Ok(rows)
}

/// Opens connections until one is served. Also returns the first answer to a
/// request that policy denies, had it got through in between.
fn ask_anew_until_served(stage: &Stage, since: Instant) -> Result<(Option<Answer>, Answer)> {
    let (client, to) = (stage.pod("monitoring")?, stage.memcached()?);
    loop {
        let answer = Connection::open(client, to).ask(GET, memcached_reply);
        if matches!(answer, Answer::Reply(_)) || since.elapsed() > LIMIT {
            return Ok((None, answer));
        }
        sleep(Duration::from_millis(10));
    }
}

fn reply(bytes: &[u8]) -> Answer {
    Answer::Reply(bytes.to_vec())
}

fn row(client: &str, request: &str, promise: &str, happened: String, came_true: bool) -> Row {
    Row {
        story: Story::Crash,
        client: client.to_owned(),
        request: request.to_owned(),
        promise: promise.to_owned(),
        happened,
        denial: None,
        came_true,
    }
}
