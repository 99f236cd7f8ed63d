//! What a line of the log looks like, whatever peers send.

use std::{
    sync::{Condvar, Mutex},
    time::Instant,
};

use remora_parsers::{Field, Request, Value, Words};
use remora_policy::TrafficDirection;
use serde_json::Value as Json;

use super::*;

fn pod() -> Pod {
    Pod { namespace: "default".into(), name: "droid".into(), uid: "7".into(), ips: Vec::new() }
}

fn event<'a>(request: Option<&'a Request<'a>>, reason: &'a str) -> Event<'a> {
    Event {
        outcome: Outcome::Forwarded,
        flow: Flow {
            direction: TrafficDirection::Ingress,
            source: "10.0.0.2:4000".parse().unwrap(),
            destination: Some("10.0.0.1:11211".parse().unwrap()),
            backend: None,
        },
        identity: Some(1001),
        l7proto: Some("memcache"),
        request,
        rule: Some("default/p ingress[0].toPorts[0].l7[0]"),
        reason,
        error: None,
        policy_version: "3",
    }
}

fn line_of(value: Value<'_>) -> (String, Json) {
    let fields = [Field { name: "key", value }];
    let request = Request::new(&fields);
    let line = event(Some(&request), "a rule").line(&pod(), SystemTime::UNIX_EPOCH);
    let json = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    (line, json)
}

#[test]
fn a_request_has_stable_names() {
    let (line, _) = line_of(Value::One(b"a"));
    assert_eq!(
        line,
        r#"{"time":"1970-01-01T00:00:00.000Z","verdict":"FORWARDED","direction":"ingress","namespace":"default","pod":"droid","source":"10.0.0.2:4000","source_identity":1001,"destination":"10.0.0.1:11211","l7proto":"memcache","fields":{"key":"a"},"rule":"default/p ingress[0].toPorts[0].l7[0]","reason":"a rule","policy_version":"3"}"#
    );
}

#[test]
fn of_what_goes_out_the_destination_has_the_identity() {
    let mut event = event(None, "a rule");
    event.flow = Flow {
        direction: TrafficDirection::Egress,
        source: "10.0.0.1:4000".parse().unwrap(),
        destination: Some("[fd96::1]:80".parse().unwrap()),
        backend: Some("[fd00::2]:8080".parse().unwrap()),
    };
    let line = event.line(&pod(), SystemTime::UNIX_EPOCH);
    let peers = r#","direction":"egress","namespace":"default","pod":"droid","source":"10.0.0.1:4000","destination":"[fd96::1]:80","backend":"[fd00::2]:8080","destination_identity":1001,"#;
    assert!(line.contains(peers), "{line}");
    assert!(!line.contains("source_identity"), "{line}");
    event.identity = None;
    assert!(event.line(&pod(), SystemTime::UNIX_EPOCH).contains(r#""destination_identity":null"#));
}

#[test]
fn no_byte_of_a_peer_gets_out_of_its_string() {
    for byte in 0..=u8::MAX {
        let (line, json) = line_of(Value::One(&[b'a', byte, b'z']));
        assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{byte:#x}: {line}");
        let expected = match byte {
            0x80.. => format!("a\\x{byte:02x}z"),
            ascii => format!("a{}z", char::from(ascii)),
        };
        assert_eq!(json["fields"]["key"], expected, "{byte:#x}");
    }
}

#[test]
fn text_that_changes_how_a_line_reads_is_escaped() {
    for char in ['\u{85}', '\u{9b}', '\u{202e}', '\u{2028}', '\u{2066}', '\u{feff}', '\u{e0041}'] {
        let text = format!("a{char}z");
        let (line, json) = line_of(Value::One(text.as_bytes()));
        assert!(!line.contains(char), "{char:?} stands in {line}");
        assert_eq!(json["fields"]["key"], text);
    }
    let (line, _) = line_of(Value::One("grün 東京".as_bytes()));
    assert!(line.contains("grün 東京"), "{line}");
}

#[test]
fn a_value_is_whole_up_to_its_cap() {
    let long = vec![b'k'; MAX_VALUE_BYTES + 1];
    let (_, json) = line_of(Value::One(&long[..MAX_VALUE_BYTES]));
    assert_eq!(json["fields"]["key"].as_str().unwrap().len(), MAX_VALUE_BYTES);
    assert_eq!(json.get("truncated"), None);
    let (_, json) = line_of(Value::One(&long));
    assert_eq!(json["fields"]["key"].as_str().unwrap().len(), MAX_VALUE_BYTES);
    assert_eq!(json["truncated"], true);
}

#[test]
fn several_values_are_a_list_up_to_its_cap() {
    let words = |n: usize| vec!["k"; n].join(" ");
    let (_, json) = line_of(Value::Words(Words::new(b"a b")));
    assert_eq!(json["fields"]["key"], serde_json::json!(["a", "b"]));
    let (_, json) = line_of(Value::Words(Words::new(b"a")));
    assert_eq!(json["fields"]["key"], "a");
    let (_, json) = line_of(Value::Words(Words::new(words(MAX_VALUES).as_bytes())));
    assert_eq!(json["fields"]["key"].as_array().unwrap().len(), MAX_VALUES);
    assert_eq!(json.get("truncated"), None);
    let (_, json) = line_of(Value::Words(Words::new(words(MAX_VALUES + 1).as_bytes())));
    assert_eq!(json["fields"]["key"].as_array().unwrap().len(), MAX_VALUES);
    assert_eq!(json["truncated"], true);
}

#[test]
fn moments_are_written_as_rfc_3339_says() {
    let cases = [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ];
    for (millis, text) in cases {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(time::rfc3339(moment), text);
    }
}

/// A reader that takes nothing until it is let go.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

#[tokio::test]
async fn a_reader_that_stalls_loses_lines_and_is_told_how_many() {
    let gate = Arc::new(Gate::default());
    let (sender, lines) = mpsc::channel();
    let at_gate = Arc::clone(&gate);
    let sink = move |line: &str| {
        at_gate.pass();
        sender.send(line.to_owned()).map_err(io::Error::other)
    };
    let log = AccessLog::start(pod(), Box::new(sink)).unwrap();
    let reason = "r".repeat(1000);
    let size = event(None, &reason).line(&pod(), SystemTime::now()).len();
    let events = 2 * MAX_QUEUED_BYTES / size;
    let started = Instant::now();
    for _ in 0..events {
        log.record(&event(None, &reason));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "the data path has waited");

    gate.open();
    log.flush().await;
    let lines: Vec<Json> =
        lines.try_iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
    let lost: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
    let written = lines.iter().filter(|line| line.get("lost").is_none()).count();
    assert!(lost > 0 && written >= MAX_QUEUED_BYTES / size, "{written} written, {lost} lost");
    assert_eq!(written + usize::try_from(lost).unwrap(), events);
}
