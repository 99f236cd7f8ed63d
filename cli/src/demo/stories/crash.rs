//! memcached's sidecar dies in the middle of everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
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
const PLANS: &[u8] = b"OK READ plans/hangar\r\n";

/// What the droid's client saw meanwhile.
struct Elsewhere {
    asked: u32,
    failure: Option<Answer>,
    slowest: Duration,
}

pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    let mut droid = Connection::open(stage.pod("jedi")?, stage.droid()?);
    ensure!(read_plans(&mut droid) == reply(PLANS), "the droid does not answer");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let elsewhere = scope.spawn(|| keep_asking(&mut droid, &over));
        let rows = kill_and_wait(stage);
        over.store(true, Ordering::Relaxed);
        let elsewhere = elsewhere.join().map_err(|_| anyhow!("the droid's client panicked"))?;
        let mut rows = rows?;
        rows.insert(1, undisturbed(&elsewhere));
        Ok(rows)
    })
}

/// Asks the droid over and over on one connection, until its first failure.
fn keep_asking(droid: &mut Connection, over: &AtomicBool) -> Elsewhere {
    let mut seen = Elsewhere { asked: 0, failure: None, slowest: Duration::ZERO };
    while !over.load(Ordering::Relaxed) && seen.failure.is_none() {
        let begun = Instant::now();
        let answer = read_plans(droid);
        seen.slowest = seen.slowest.max(begun.elapsed());
        seen.asked += 1;
        seen.failure = Some(answer).filter(|answer| *answer != reply(PLANS));
        sleep(Duration::from_millis(2));
    }
    seen
}

fn read_plans(droid: &mut Connection) -> Answer {
    droid.ask(b"READ plans/hangar\r\n", lines(1))
}

fn undisturbed(seen: &Elsewhere) -> Row {
    let happened = match &seen.failure {
        None => {
            format!("{} answers, the slowest after {} ms", seen.asked, seen.slowest.as_millis())
        }
        Some(answer) => format!("{answer} after {} answers", seen.asked - 1),
    };
    let came_true = seen.failure.is_none() && seen.asked > 1;
    let mut row =
        row("READs on the droid's open connection", "all answered meanwhile", happened, came_true);
    row.client = "jedi".to_owned();
    row
}

fn kill_and_wait(stage: &Stage) -> Result<Vec<Row>> {
    let memcached = stage.pod("memcached")?;
    let (client, to) = (stage.pod("monitoring")?, stage.memcached()?);
    let mut open = Connection::open(client, to);
    let before = open.ask(GET, memcached_reply);
    let (restarts, app) = (memcached.restarts("remora")?, memcached.pid("memcached")?);

    memcached.kill("remora", Signal::KILL)?;
    let killed = Instant::now();
    let cut = open.ask(GET, memcached_reply);
    let ends = before == reply(MISS) && matches!(cut, Answer::Reset | Answer::Closed);
    let mut rows =
        vec![row("get on its open connection", "the connection ends", cut.to_string(), ends)];

    let (closed, answer) = set_until_answered(stage, killed)?;
    let away = killed.elapsed();
    let denied = answer == reply(DENIED);
    let said = if denied { "denied".to_owned() } else { answer.to_string() };
    let happened = format!("closed {closed}×, {said} after {} ms", away.as_millis());
    let mut set =
        row("set on new connections", "closed while it is away, then denied", happened, denied);
    set.denial = denied.then(|| DENIED.to_vec());
    rows.push(set);

    memcached.wait_restarted("remora", restarts + 1, LIMIT)?;
    let answer = Connection::open(client, to).ask(GET, memcached_reply);
    let kept = memcached.pid("memcached")? == app && memcached.restarts("remora")? == restarts + 1;
    let said = if answer == reply(MISS) { "allowed".to_owned() } else { answer.to_string() };
    let restarted =
        if kept { "only the sidecar was restarted" } else { "more than the sidecar was restarted" };
    let happened = format!("{said}; {restarted}");
    let served = answer == reply(MISS) && kept;
    rows.push(row("get, once the sidecar is ready again", "allowed, as before", happened, served));
    Ok(rows)
}

/// Sends a request that policy denies over new connections until one is
/// answered; also returns how many were closed before. None may be let through,
/// whether a sidecar is there or not.
fn set_until_answered(stage: &Stage, since: Instant) -> Result<(u32, Answer)> {
    let (client, to) = (stage.pod("monitoring")?, stage.memcached()?);
    let mut closed = 0;
    loop {
        let answer = Connection::open(client, to).ask(SET, memcached_reply);
        if matches!(answer, Answer::Reply(_)) || since.elapsed() > LIMIT {
            return Ok((closed, answer));
        }
        closed += 1;
        sleep(Duration::from_millis(10));
    }
}

fn reply(bytes: &[u8]) -> Answer {
    Answer::Reply(bytes.to_vec())
}

fn row(request: &str, promise: &str, happened: String, came_true: bool) -> Row {
    Row {
        story: Story::Crash,
        client: "monitoring".to_owned(),
        request: request.to_owned(),
        promise: promise.to_owned(),
        happened,
        denial: None,
        came_true,
    }
}
