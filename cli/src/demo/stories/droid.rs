//! Orders for the droid: allowed and denied, cut to pieces, and in a row.

use anyhow::Result;

use super::Story;
use crate::demo::client::{Answer, Connection, lines, printable};
use crate::demo::stage::Stage;
use crate::demo::table::Row;

/// What r2d2 answers to a request that policy denies.
const DENIED: &[u8] = b"ERROR\r\n";

/// Some orders, sent together, and the replies in their order.
struct Scene {
    title: &'static str,
    promise: &'static str,
    orders: &'static [&'static str],
    replies: &'static [&'static str],
    /// Whether every byte goes in a packet of its own.
    cut: bool,
}

const SCENES: [Scene; 6] = [
    Scene {
        title: "READ plans/hangar",
        promise: "allowed",
        orders: &["READ plans/hangar"],
        replies: &["OK READ plans/hangar"],
        cut: false,
    },
    Scene {
        title: "READ secrets/base",
        promise: "denied",
        orders: &["READ secrets/base"],
        replies: &["ERROR"],
        cut: false,
    },
    Scene {
        title: "WRITE plans/hangar",
        promise: "denied",
        orders: &["WRITE plans/hangar"],
        replies: &["ERROR"],
        cut: false,
    },
    Scene {
        title: "HALT",
        promise: "allowed",
        orders: &["HALT"],
        replies: &["OK HALT"],
        cut: false,
    },
    Scene {
        title: "READ plans/engine, a byte a packet",
        promise: "allowed",
        orders: &["READ plans/engine"],
        replies: &["OK READ plans/engine"],
        cut: true,
    },
    Scene {
        title: "five orders in one packet",
        promise: "allowed and denied in order",
        orders: &["READ plans/a", "READ secrets/b", "WRITE plans/c", "READ plans/d", "RESET"],
        replies: &["OK READ plans/a", "ERROR", "ERROR", "OK READ plans/d", "ERROR"],
        cut: false,
    },
];

/// All on one connection: a denial in the protocol does not end it.
pub(super) fn play(stage: &Stage) -> Result<Vec<Row>> {
    let mut connection = Connection::open(stage.pod("jedi")?, stage.droid()?);
    SCENES.iter().map(|scene| play_scene(stage, &mut connection, scene)).collect()
}

fn play_scene(stage: &Stage, connection: &mut Connection, scene: &Scene) -> Result<Row> {
    let request: Vec<u8> =
        scene.orders.iter().flat_map(|order| format!("{order}\r\n").into_bytes()).collect();
    let expected: Vec<u8> =
        scene.replies.iter().flat_map(|reply| format!("{reply}\r\n").into_bytes()).collect();
    let before = obeyed(stage)?.len();
    let whole = lines(scene.replies.len());
    let answer = if scene.cut {
        connection.ask_in_pieces(request.chunks(1), whole)
    } else {
        connection.ask(&request, whole)
    };
    // The droid prints an order before it answers it, and ours is answered.
    let arrived = obeyed(stage)?.split_off(before);
    let allowed = scene.orders.iter().zip(scene.replies).filter(|(_, reply)| **reply != "ERROR");
    let only_allowed = allowed.map(|(order, _)| *order).eq(arrived.iter().map(String::as_str));
    let denied = scene.replies.contains(&"ERROR");
    Ok(Row {
        story: Story::Droid,
        client: "jedi".to_owned(),
        request: scene.title.to_owned(),
        promise: scene.promise.to_owned(),
        happened: match &answer {
            Answer::Reply(bytes) if bytes == DENIED => format!("denied; {}", reached(&arrived)),
            Answer::Reply(bytes) if scene.replies.len() > 1 => {
                format!(
                    "{}; {}",
                    printable(bytes).replace("\\r\\n", " │ ").trim_end_matches([' ', '│']),
                    reached(&arrived)
                )
            }
            Answer::Reply(bytes) => String::from_utf8_lossy(bytes).trim_end().to_owned(),
            other => other.to_string(),
        },
        denial: (denied && answer == Answer::Reply(expected.clone())).then(|| DENIED.to_vec()),
        came_true: answer == Answer::Reply(expected) && only_allowed,
    })
}

fn reached(arrived: &[String]) -> String {
    match arrived.len() {
        0 => "nothing reached the droid".to_owned(),
        count => format!("{count} reached the droid"),
    }
}

/// The orders that reached the droid so far.
fn obeyed(stage: &Stage) -> Result<Vec<String>> {
    Ok(stage.pod("droid")?.logs("droid")?.lines().map(str::to_owned).collect())
}
