//! Connections of one thread take turns: who sends without end has its share.

use crate::support::{CLIENT, LineServer, Pod, l7};
use remora_sidecar::limits::REQUEST_QUANTUM;

const FLOOD: &[u8] = b"flood\n";

/// More than any socket holds.
const MUCH: usize = 64 << 20;

/// How many of the flood's requests were judged before the quiet client's one.
async fn before_the_quiet_one(pod: &mut Pod) -> usize {
    let mut before = 0;
    loop {
        let line = pod.line().await;
        match line["fields"]["word"].as_str() {
            Some("quiet") => return before,
            Some(_) => before += 1,
            // Judged at one go they are more than wait to be written.
            None => before += usize::try_from(line["lost"].as_u64().expect("a count")).unwrap(),
        }
    }
}

/// Nothing else runs on this thread until the flood and, after it, the quiet
/// client's request lie in the sidecar's sockets.
#[tokio::test]
async fn a_pipelined_flood_lets_others_have_their_turn() {
    let app = LineServer::start().await;
    let allowed = vec![l7(app.address.port(), CLIENT, &["flood", "quiet"])];
    let mut pod = Pod::ready(app.address, allowed).await;
    let (mut flooder, mut quiet) = (pod.connect().await, pod.connect().await);
    flooder.send("flood\n").await;
    flooder.expect("ok flood\n").await;
    assert_eq!(pod.line().await["fields"]["word"], "flood");
    quiet.send("quiet\n").await;
    quiet.expect("ok quiet\n").await;
    assert_eq!(before_the_quiet_one(&mut pod).await, 0);

    let flood = FLOOD.repeat(MUCH / FLOOD.len());
    let mut sent = 0;
    while let Ok(n) = flooder.0.try_write(&flood[sent..]) {
        sent += n;
    }
    assert!(sent > 64 * REQUEST_QUANTUM, "{sent} bytes are no flood");
    quiet.0.try_write(b"quiet\n").unwrap();
    let before = before_the_quiet_one(&mut pod).await;
    println!("{before} of {} requests of the flood came first", sent / FLOOD.len());
    // It may have had a turn before, and one while the quiet one's was begun.
    assert!(before <= 2 * REQUEST_QUANTUM / FLOOD.len(), "{before}");
    quiet.expect("ok quiet\n").await;
}
