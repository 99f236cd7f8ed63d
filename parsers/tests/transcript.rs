//! The transcript's text, good and bad.

use proptest::prelude::*;
use remora_parsers::{
    Direction::{Reply, Request},
    transcript::{Arrival, Step, Transcript},
};

fn data(from: remora_parsers::Direction, bytes: &[u8]) -> Step {
    Step { from, arrival: Arrival::Data(bytes.to_vec()) }
}

#[test]
fn every_form_is_read() {
    let text = r#"
# l7proto: memcache
> "get a\r\n"
  < "\x00\t\\\"é#"   
> hex:67 65 74 0D0a
# just a comment
$>
< "x"
$<
# expect: log FORWARDED command=get
"#;
    let transcript = Transcript::read(text).expect("readable");
    assert_eq!(transcript.l7proto.as_deref(), Some("memcache"));
    assert_eq!(transcript.expectations, [(10, "log FORWARDED command=get".to_owned())]);
    assert_eq!(
        transcript.steps,
        [
            data(Request, b"get a\r\n"),
            data(Reply, "\0\t\\\"é#".as_bytes()),
            data(Request, b"get\r\n"),
            Step { from: Request, arrival: Arrival::End },
            data(Reply, b"x"),
            Step { from: Reply, arrival: Arrival::End },
        ]
    );
}

#[test]
fn what_is_no_transcript_is_named_by_line() {
    for (line, what) in [
        ("get a", "an arrival starts with"),
        ("> get a", "the bytes are"),
        ("> \"get", "no closing quote"),
        ("> \"a\" b", "behind the closing quote"),
        ("> \"\\q\"", "the escapes are"),
        ("> \"\\x4\"", "no hex digit"),
        ("> hex:4", "odd number"),
        ("> hex:4g", "no hex digit"),
        ("> \"\"", "at least one byte"),
        ("$>\n> \"a\"", "has ended"),
        ("$<\n$<", "has ended"),
    ] {
        let text = format!("# first\n{line}");
        let error = Transcript::read(&text).expect_err(line);
        assert_eq!(error.line, 1 + line.lines().count(), "{line}");
        assert!(error.what.contains(what), "{line}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_written(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let quoted: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        for line in [format!("> hex:{hex}"), format!("> \"{quoted}\"")] {
            let transcript = Transcript::read(&line).expect("readable");
            prop_assert_eq!(&transcript.steps, &[data(Request, &bytes)]);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[><$\"\\\\xhex:#rn \n0-9a-f]{0,80}") {
        let _ = Transcript::read(&text);
    }
}
