//! What a line of the log looks like, whatever peers send.

use std::{
    sync::{Condvar, Mutex, mpsc},
    time::{Duration, Instant},
};

use remora_parsers::{Field, Request, Value, Words};
use remora_policy::TrafficDirection;
use serde_json::Value as Json;

use super::*;

fn pod() -> Pod {
    Pod { namespace: "default".into(), name: "droid".into(), uid: "7".into(), ips: Vec::new() }
}

fn start(options: &Options, sink: Sink) -> AccessLog {
    AccessLog::new(&Clerk::start(options, sink).unwrap(), &pod(), options, Registry::BUILT_IN)
}

fn everything() -> Hidden {
    Hidden::new(Registry::BUILT_IN, &["*".to_owned()])
}

fn json(event: &Event<'_>, hidden: &Hidden) -> String {
    let mut line = String::new();
    event.json(&mut line, &Of::pod(&pod()), hidden, SystemTime::UNIX_EPOCH);
    line
}

fn text(event: &Event<'_>, hidden: &Hidden) -> String {
    let mut line = String::new();
    event.text(&mut line, hidden, SystemTime::UNIX_EPOCH);
    line
}

fn event<'a>(request: Option<&'a Request<'a>>, reason: &'a &'a str) -> Event<'a> {
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
    let line = json(&event(Some(&request), &"a rule"), &everything());
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
    let mut event = event(None, &"a rule");
    event.flow = Flow {
        direction: TrafficDirection::Egress,
        source: "10.0.0.1:4000".parse().unwrap(),
        destination: Some("[fd96::1]:80".parse().unwrap()),
        backend: Some("[fd00::2]:8080".parse().unwrap()),
    };
    let line = json(&event, &everything());
    let peers = r#","direction":"egress","namespace":"default","pod":"droid","source":"10.0.0.1:4000","destination":"[fd96::1]:80","backend":"[fd00::2]:8080","destination_identity":1001,"#;
    assert!(line.contains(peers), "{line}");
    assert!(!line.contains("source_identity"), "{line}");
    event.identity = None;
    assert!(json(&event, &everything()).contains(r#""destination_identity":null"#));
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
        let mut written = String::new();
        time::rfc3339(&mut written, moment);
        assert_eq!(written, text);
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
    let sink = move |lines: &str| {
        at_gate.pass();
        lines.lines().try_for_each(|line| sender.send(line.to_owned())).map_err(io::Error::other)
    };
    let options = Options { rate: u64::MAX, ..Options::default() };
    let log = start(&options, Box::new(sink));
    let reason = "r".repeat(1000);
    let reason = &reason.as_str();
    let size = json(&event(None, reason), &everything()).len() + 1;
    // One buffer is with the reader, one waits.
    let events = 3 * MAX_QUEUED_BYTES / size;
    let started = Instant::now();
    for _ in 0..events {
        let _ = log.record(&event(None, reason));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "the data path has waited");

    gate.open();
    log.clerk.flush().await;
    // What was lost is confessed with the next lines.
    let lines: Vec<Json> =
        lines.try_iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
    let lost: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
    let written = lines.iter().filter(|line| line.get("lost").is_none()).count();
    assert!(lost > 0 && written >= MAX_QUEUED_BYTES / size, "{written} written, {lost} lost");
    assert_eq!(written + usize::try_from(lost).unwrap(), events);
}

/// Options that log everything but show only what is asked for.
fn logged(options: &Options, events: &[Event<'_>]) -> Vec<String> {
    let (sender, lines) = mpsc::channel();
    let sink = move |text: &str| {
        text.lines().try_for_each(|line| sender.send(line.to_owned())).map_err(io::Error::other)
    };
    let log = start(options, Box::new(sink));
    for event in events {
        let _ = log.record(event);
    }
    drop(log);
    // Its thread ends once all is written.
    lines.iter().collect()
}

#[test]
fn values_of_clients_are_hashes_but_for_the_fields_that_are_shown() {
    let words = Words::new(b"canary-one canary-two");
    let fields = [
        Field { name: "command", value: Value::One(b"get") },
        Field { name: "key", value: Value::Words(words) },
    ];
    let request = Request::new(&fields);
    let event = event(Some(&request), &"a rule");
    for format in [Format::Json, Format::Text] {
        let options = Options { format, ..Options::default() };
        let lines = logged(&options, &[event, event]);
        assert_eq!(lines.len(), 2);
        assert!(!lines.concat().contains("canary"), "{lines:?}");
        assert!(lines[0].contains("get") && lines[0].contains("#"), "{lines:?}");
        let hashes =
            |line: &str| line.split('#').skip(1).map(|h| h[..16].to_owned()).collect::<Vec<_>>();
        assert_eq!(hashes(&lines[0]), hashes(&lines[1]), "the same value has the same hash");
        assert_ne!(hashes(&lines[0])[0], hashes(&lines[0])[1]);
        assert_ne!(hashes(&lines[0]), hashes(&logged(&options, &[event])[0]), "of this log alone");
        let shown = Options { shown: vec!["key".into()], ..options };
        let lines = logged(&shown, &[event]);
        assert!(lines[0].contains("canary-one") && lines[0].contains("canary-two"), "{lines:?}");
    }
}

#[test]
fn a_line_for_people_is_one_line_whatever_peers_send() {
    let fields = [Field { name: "key", value: Value::One(b"a\n\x1b[31m\" b=c") }];
    let request = Request::new(&fields);
    let line = text(&event(Some(&request), &"a\nrule"), &everything());
    assert_eq!(
        line,
        "1970-01-01T00:00:00.000Z FORWARDED ingress 10.0.0.2:4000 -> 10.0.0.1:11211 \
         identity=1001 l7proto=memcache key=\"a\\n\\u001b[31m\\\" b=c\" \
         rule=\"default/p ingress[0].toPorts[0].l7[0]\" reason=\"a\\nrule\""
    );
}

#[test]
fn a_flood_is_cut_with_a_count_and_hides_nothing_that_was_denied() {
    const RATE: usize = 100;
    let options = Options { rate: RATE as u64, ..Options::default() };
    let allowed = event(None, &"a rule");
    let denied = Event { outcome: Outcome::Dropped, ..allowed };
    let mut events = vec![allowed; 10 * RATE];
    events.push(denied);
    let lines: Vec<Json> =
        logged(&options, &events).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdict = |verdict: &str| lines.iter().filter(|line| line["verdict"] == verdict).count();
    let left_out: u64 = lines.iter().filter_map(|line| line["left_out"].as_u64()).sum();
    // A second may have ended meanwhile, and begun anew.
    let forwarded = verdict("FORWARDED");
    assert!([RATE / 10 * 9, 2 * (RATE / 10 * 9)].contains(&forwarded), "{forwarded}");
    assert_eq!(forwarded + usize::try_from(left_out).unwrap(), 10 * RATE);
    assert_eq!(verdict("DROPPED"), 1);
}

#[test]
fn a_reason_is_cut_at_its_cap() {
    let cap = event::MAX_TEXT_BYTES;
    for (length, shown) in [(cap, cap), (cap + 1, cap)] {
        let reason = "r".repeat(length);
        let line = json(&event(None, &reason.as_str()), &everything());
        let json: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(json["reason"].as_str().unwrap().len(), shown);
    }
}

#[test]
fn ciliums_listener_gets_each_event_as_an_entry() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("access_log.sock");
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let fields = [
        Field { name: "command", value: Value::One(b"get") },
        Field { name: "key", value: Value::One(b"canary") },
    ];
    let request = Request::new(&fields);
    let forwarded = event(Some(&request), &"a rule");
    let denied = Event { outcome: Outcome::Dropped, ..forwarded };
    let options = Options { socket: Some(path), ..Options::default() };
    assert_eq!(logged(&options, &[forwarded, denied]).len(), 2);
    let (peer, _) = listener.accept().unwrap();
    let entries = [(); 2].map(|()| {
        let mut packet = [0; 4096];
        let length = io::Read::read(&mut &peer, &mut packet).unwrap();
        <cilium::LogEntry as prost::Message>::decode(&packet[..length]).unwrap()
    });
    let [one, other] = entries;
    assert_eq!(one.entry_type(), cilium::EntryType::Request);
    assert_eq!(other.entry_type(), cilium::EntryType::Denied);
    assert!(one.is_ingress && one.timestamp > 0);
    assert_eq!((one.source_security_id, one.destination_security_id), (1001, 0));
    assert_eq!(one.source_address, "10.0.0.2:4000");
    assert_eq!(one.destination_address, "10.0.0.1:11211");
    assert_eq!(one.cilium_rule_ref, "default/p ingress[0].toPorts[0].l7[0]");
    let l7 = one.generic_l7.unwrap();
    assert_eq!((l7.proto.as_str(), l7.fields["command"].as_str()), ("memcache", "get"));
    assert!(l7.fields["key"].starts_with('#'), "{:?}", l7.fields);
}
