//! What clients say does not come out where a sidecar talks about itself, and
//! neither do its own secrets.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    process::Stdio,
};

use serde_json::json;

use crate::{
    by_hand::ByHand,
    stage::{Answer, POLICY, Stage, ask, denied, eventually},
};

/// In keys, values, credentials and garbage: never twice the same.
const CANARIES: [&str; 6] =
    ["KEYCANARY", "BARREDCANARY", "VALUECANARY", "SASLCANARY", "NOISECANARY", "HALFCANARY"];

/// SASL's PLAIN in the binary protocol: opcode 0x21, the mechanism as the key.
fn sasl(secret: &str) -> Vec<u8> {
    let value = format!("\0user\0{secret}");
    let mut frame = vec![0x80, 0x21, 0, 5, 0, 0, 0, 0];
    frame.extend(u32::try_from(5 + value.len()).expect("short").to_be_bytes());
    frame.extend([0; 12]);
    frame.extend(b"PLAIN");
    frame.extend(value.as_bytes());
    frame
}

#[test]
fn what_clients_say_is_in_no_log_metric_dump_or_file() {
    let stage = Stage::set();
    let policy = POLICY.replace("command: get", "command: readWriteGroup");
    stage.write_policy("cache.yaml", &policy);
    let client = stage.client("client", &json!({"role": "client"}));
    let by_hand = ByHand::set(&stage, &[]).with("REMORA_LOG", "trace");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let file = File::options().create(true).append(true).open(&log).expect("a file");
    let sink = || Stdio::from(file.try_clone().expect("the file"));
    let _sidecar = by_hand.start_saying(&[], sink);
    let to = by_hand.address();
    let [key, barred, value, secret, noise, half] = CANARIES;
    let stored = format!("set pub:{key} 0 0 {}\r\n{value}\r\n", value.len());
    eventually("it serves", || ask(&client, to, &stored) == Answer::Text("STORED\r\n".into()));
    assert_eq!(ask(&client, to, &format!("get sec:{barred}\r\n")), denied());
    let say = |bytes: &[u8]| {
        let mut stream = client.connect(to).expect("connected");
        stream.write_all(bytes).expect("sent");
        stream
    };
    let mut answer = [0; 8];
    say(&sasl(secret)).read_exact(&mut answer).expect("an answer");
    // Not canonical: it is closed, and what was wrong is logged.
    let mut end = Vec::new();
    let _ = say(format!("get  pub:{noise}\r\n").as_bytes()).read_to_end(&mut end);
    let unfinished = say(format!("get pub:{half}").as_bytes());
    eventually("all of it has been looked at", || {
        by_hand.metric("remora_connections") == Some(1) && by_hand.has_saved()
    });

    let pages = ["/policy", "/connections", "/ready"].map(|path| by_hand.told(path)).concat();
    assert!(pages.contains("memcache"), "the pages are there: {pages}");
    let saved = fs::read(by_hand.snapshot()).expect("the snapshot");
    drop(unfinished);
    eventually("the log has the end of it", || {
        by_hand.metric("remora_connections") == Some(0)
            && fs::read_to_string(&log).expect("text").contains("client-protocol")
    });
    let log = fs::read_to_string(&log).expect("text");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it says all that it can: {log}");
    for (place, text) in [
        ("the logs", log),
        ("the pages", pages),
        ("the snapshot", String::from_utf8_lossy(&saved).into_owned()),
        ("the metrics", by_hand.page()),
    ] {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} is in {place}");
        }
    }
}
