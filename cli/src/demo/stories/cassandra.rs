//! An outpost records who is there and may read nothing of it; its
//! headquarters may.

use anyhow::{Result, ensure};

use super::Story;
use crate::demo::client::{Answer, Connection};
use crate::demo::stage::Stage;
use crate::demo::table::Row;

/// A query, who asks it, and what the policy promises.
struct Scene {
    client: &'static str,
    text: &'static str,
    promise: Promise,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    Allowed,
    Denied,
    Reset,
}

use Promise::{Allowed, Denied, Reset};

const SCENES: [Scene; 9] = [
    Scene { client: "outpost", text: "SELECT cluster_name FROM system.local", promise: Allowed },
    Scene {
        client: "outpost",
        text: "INSERT INTO attendance.daily_records (who) VALUES ('tk-421')",
        promise: Allowed,
    },
    Scene { client: "outpost", text: "SELECT who FROM attendance.daily_records", promise: Denied },
    Scene {
        client: "outpost",
        text: "SELECT who FROM attendance.daily_records WHERE who = ' from system.local '",
        promise: Denied,
    },
    Scene {
        client: "outpost",
        text: "INSERT INTO attendance.daily_records (who) VALUES ('luke') IF NOT EXISTS",
        promise: Denied,
    },
    Scene { client: "outpost", text: "DROP KEYSPACE attendance", promise: Denied },
    Scene {
        client: "headquarters",
        text: "SELECT who FROM attendance.daily_records",
        promise: Allowed,
    },
    Scene { client: "headquarters", text: "SELECT role FROM system_auth.roles", promise: Denied },
    Scene { client: "outsider", text: "SELECT who FROM attendance.daily_records", promise: Reset },
];

pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    // From inside the pod: its own address is neither redirected nor judged.
    let mut direct = Session::open(stage, "cassandra")?;
    for text in [
        "CREATE KEYSPACE IF NOT EXISTS attendance WITH replication = {'class': 'SimpleStrategy', \
         'replication_factor': 1}",
        "CREATE TABLE IF NOT EXISTS attendance.daily_records (who text PRIMARY KEY)",
    ] {
        let reply = direct.ask(text);
        ensure!(matches!(reply, Reply::Result(_)), "{text}: {}", reply.in_words());
    }
    SCENES.iter().map(|scene| play_scene(stage, &mut direct, scene)).collect()
}

fn play_scene(stage: &Stage, direct: &mut Session, scene: &Scene) -> Result<Row> {
    let reply = Session::open(stage, scene.client)?.ask(scene.text);
    let records = direct.ask("SELECT count(*) FROM attendance.daily_records");
    // One record is written; nothing that is denied makes another or undoes it.
    let kept = match &records {
        Reply::Result(body) => body.last().copied() == Some(u8::from(scene.text != SCENES[0].text)),
        _ => false,
    };
    let (promise, answered) = match scene.promise {
        Allowed => ("allowed", matches!(reply, Reply::Result(_))),
        Denied => ("denied", matches!(&reply, Reply::Error(UNAUTHORIZED, _))),
        Reset => ("connection reset", reply == Reply::Other(Answer::Reset)),
    };
    Ok(Row {
        story: Story::Cassandra,
        client: scene.client.to_owned(),
        request: scene.text.to_owned(),
        promise: promise.to_owned(),
        happened: reply.in_words(),
        denial: match &reply {
            Reply::Error(UNAUTHORIZED, message) => Some(message.clone().into_bytes()),
            _ => None,
        },
        came_true: answered && kept,
    })
}

/// A connection in Cassandra's native protocol, v4; or what became of it
/// instead.
struct Session(Result<Connection, Answer>);

/// What an envelope is answered with.
#[derive(PartialEq, Eq)]
enum Reply {
    /// The body of a result.
    Result(Vec<u8>),
    /// An error's code and message.
    Error(u32, String),
    Other(Answer),
}

const STARTUP: u8 = 0x01;
const QUERY: u8 = 0x07;
const UNAUTHORIZED: u32 = 0x2100;

impl Session {
    fn open(stage: &Stage, client: &str) -> Result<Self> {
        let mut connection = Connection::open(stage.pod(client)?, stage.cassandra()?);
        let startup = envelope(STARTUP, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0");
        Ok(Self(match connection.ask(&startup, is_whole) {
            Answer::Reply(_) => Ok(connection),
            other => Err(other),
        }))
    }

    fn ask(&mut self, text: &str) -> Reply {
        const ONE: &[u8] = b"\0\x01\0";
        let length = u32::try_from(text.len()).unwrap_or_default().to_be_bytes();
        let request = envelope(QUERY, &[&length, text.as_bytes(), ONE].concat());
        let connection = match &mut self.0 {
            Ok(connection) => connection,
            Err(instead) => return Reply::Other(instead.clone()),
        };
        match connection.ask(&request, is_whole) {
            Answer::Reply(bytes) => match *bytes.as_slice() {
                [_, _, _, _, 0, _, _, _, _, c3, c2, c1, c0, _, _, ref message @ ..] => {
                    Reply::Error(
                        u32::from_be_bytes([c3, c2, c1, c0]),
                        String::from_utf8_lossy(message).into_owned(),
                    )
                }
                _ => Reply::Result(bytes),
            },
            other => Reply::Other(other),
        }
    }
}

impl Reply {
    fn in_words(&self) -> String {
        match self {
            Self::Result(_) => "done".to_owned(),
            Self::Error(UNAUTHORIZED, _) => "Unauthorized".to_owned(),
            Self::Error(code, message) => format!("error {code:#x}: {message}"),
            Self::Other(answer) => answer.to_string(),
        }
    }
}

fn envelope(opcode: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    [&[4, 0, 0, 0, opcode], &length[..], body].concat()
}

fn is_whole(reply: &[u8]) -> bool {
    let Some([.., b3, b2, b1, b0]) = reply.first_chunk::<9>() else { return false };
    let body = u32::from_be_bytes([*b3, *b2, *b1, *b0]);
    usize::try_from(body).is_ok_and(|body| reply.len() >= body + 9)
}
