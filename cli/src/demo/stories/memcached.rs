//! Five clients, four requests each, one policy.

use anyhow::{Result, ensure};

use super::Story;
use crate::demo::client::{Answer, Connection, memcached_reply};
use crate::demo::stage::{MEMCACHED_PORT, Stage};
use crate::demo::table::Row;

/// What memcached answers to a request that policy denies.
pub(super) const DENIED: &[u8] = b"CLIENT_ERROR access denied\r\n";

const FLEET_KEY: &str = "alliance/fleet/xwing";
const OTHER_KEY: &str = "empire/deathstar";

/// What a policy promises for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Allowed,
    Denied,
    Reset,
}

use Promise::{Allowed, Denied, Reset};

/// Each client's pod, and its promise for each of [`REQUESTS`].
const CLIENTS: [(&str, [Promise; 4]); 5] = [
    ("maintenance", [Allowed, Allowed, Allowed, Denied]),
    ("monitoring", [Allowed, Denied, Denied, Denied]),
    ("jedi", [Allowed, Allowed, Allowed, Allowed]),
    ("outsider", [Reset, Reset, Reset, Reset]),
    ("nobody", [Reset, Reset, Reset, Reset]),
];

/// A request, and what it does if it is let through. Before each, the fleet's
/// key holds `red` and the other one `secret`.
struct Request {
    title: &'static str,
    bytes: &'static [u8],
    reply: &'static [u8],
    /// What the fleet's key holds afterwards.
    leaves: Option<&'static str>,
}

const REQUESTS: [Request; 4] = [
    Request {
        title: "get alliance/fleet/xwing",
        bytes: b"get alliance/fleet/xwing\r\n",
        reply: b"VALUE alliance/fleet/xwing 0 3\r\nred\r\nEND\r\n",
        leaves: Some("red"),
    },
    Request {
        title: "set alliance/fleet/xwing",
        bytes: b"set alliance/fleet/xwing 0 0 4\r\ngold\r\n",
        reply: b"STORED\r\n",
        leaves: Some("gold"),
    },
    Request {
        title: "delete alliance/fleet/xwing",
        bytes: b"delete alliance/fleet/xwing\r\n",
        reply: b"DELETED\r\n",
        leaves: None,
    },
    Request {
        title: "get empire/deathstar",
        bytes: b"get empire/deathstar\r\n",
        reply: b"VALUE empire/deathstar 0 6\r\nsecret\r\nEND\r\n",
        leaves: Some("red"),
    },
];

/// Each client uses one connection for as long as it holds: a denial in the
/// protocol does not end it.
pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    let mut direct = Direct::open(stage)?;
    let mut rows = Vec::new();
    for (client, promises) in CLIENTS {
        let pod = stage.pod(client)?;
        let mut connection = Connection::open(pod, stage.memcached()?);
        for (request, promise) in REQUESTS.iter().zip(promises) {
            direct.prepare()?;
            let answer = connection.ask(request.bytes, memcached_reply);
            rows.push(judge(client, request, promise, &answer, direct.fleet_key()?.as_deref()));
            if promise == Reset {
                connection = Connection::open(pod, stage.memcached()?);
            }
        }
    }
    Ok(rows)
}

/// Compares the answer, and the effect, with the promise.
fn judge(
    client: &str,
    request: &Request,
    promise: Promise,
    answer: &Answer,
    left: Option<&str>,
) -> Row {
    let untouched = left == Some("red");
    let (promised, came_true) = match promise {
        Allowed => {
            let answered = *answer == Answer::Reply(request.reply.to_vec());
            ("allowed", answered && left == request.leaves)
        }
        Denied => ("denied", *answer == Answer::Reply(DENIED.to_vec()) && untouched),
        Reset => ("connection reset", *answer == Answer::Reset && untouched),
    };
    let said_no = matches!(answer, Answer::Reply(bytes) if bytes == DENIED);
    let effect = match left {
        Some("red") => "key unchanged".to_owned(),
        Some(value) => format!("key now `{value}`"),
        None => "key gone".to_owned(),
    };
    let said = match answer {
        Answer::Reply(_) if said_no => "denied".to_owned(),
        Answer::Reply(bytes) => in_words(bytes),
        other => other.to_string(),
    };
    Row {
        story: Story::Memcached,
        client: client.to_owned(),
        request: request.title.to_owned(),
        promise: promised.to_owned(),
        happened: format!("{said}; {effect}"),
        denial: said_no.then(|| DENIED.to_vec()),
        came_true,
    }
}

/// The value of a `get` that found one, and the first line of any other reply.
fn in_words(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(head), Some(value)) if head.starts_with("VALUE ") => format!("`{value}`"),
        (head, _) => head.unwrap_or_default().to_owned(),
    }
}

/// A connection from inside memcached's own pod: traffic over loopback is
/// neither redirected nor judged, so it shows what really is stored.
struct Direct(Connection);

impl Direct {
    fn open(stage: &Stage) -> Result<Self> {
        let loopback = ([127, 0, 0, 1], MEMCACHED_PORT).into();
        Ok(Self(Connection::open(stage.pod("memcached")?, loopback)))
    }

    /// Puts both keys back.
    fn prepare(&mut self) -> Result<()> {
        for (key, value) in [(FLEET_KEY, "red"), (OTHER_KEY, "secret")] {
            let request = format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
            let answer = self.0.ask(request.as_bytes(), memcached_reply);
            ensure!(answer == Answer::Reply(b"STORED\r\n".to_vec()), "preparing {key}: {answer}");
        }
        Ok(())
    }

    /// What the fleet's key holds now.
    fn fleet_key(&mut self) -> Result<Option<String>> {
        let answer = self.0.ask(format!("get {FLEET_KEY}\r\n").as_bytes(), memcached_reply);
        let Answer::Reply(reply) = &answer else {
            anyhow::bail!("looking at {FLEET_KEY}: {answer}")
        };
        let text = String::from_utf8_lossy(reply);
        Ok(text.lines().nth(1).filter(|_| text.starts_with("VALUE ")).map(str::to_owned))
    }
}
