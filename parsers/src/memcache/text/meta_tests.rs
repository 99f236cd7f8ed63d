//! Meta commands: what they amount to, and what is not canonical.

use super::*;

fn command(line: &str) -> Result<Command<'_>, &'static str> {
    Command::read(line.as_bytes())
}

fn commands(line: &str) -> &'static str {
    let command = command(line).unwrap_or_else(|why| panic!("{line}: {why}"));
    assert_eq!(command.dialect, Dialect::Meta, "{line}");
    std::str::from_utf8(command.commands).expect("words")
}

#[test]
fn what_a_meta_command_amounts_to() {
    for (line, amounts_to) in [
        ("mg a", "get"),
        ("mg a v t f s h l k q O1 u", "get"),
        ("mg a c v", "gets"),
        ("mg a T30", "gat"),
        ("mg a R30 v", "gat"),
        ("mg a c T-1", "gats"),
        ("mg a N30", "get add"),
        ("mg a v N30 T30 c E9", "gats add"),
        ("ms a 1", "set"),
        ("ms a 1 MS T0 F1 I", "set"),
        ("ms a 1 C7", "cas"),
        ("ms a 1 ME", "add"),
        ("ms a 1 MR", "replace"),
        ("ms a 1 MA", "append"),
        ("ms a 1 MA N0", "append add"),
        ("ms a 1 MP C1", "prepend cas"),
        ("md a", "delete"),
        ("md a q I", "delete"),
        ("md a I T30", "delete touch"),
        ("ma a", "incr"),
        ("ma a MI D5", "incr"),
        ("ma a MD", "decr"),
        ("ma a M- N0 J1", "decr add"),
        ("ma a T5 v", "incr touch"),
        ("me a", "me"),
        ("mn", "noop"),
    ] {
        assert_eq!(commands(line), amounts_to, "{line}");
    }
}

#[test]
fn what_is_answered_and_how() {
    let reply = |line| command(line).expect(line).reply;
    assert_eq!(reply("mg a v q"), Reply::Quiet);
    assert_eq!(reply("ms a 1 q"), Reply::Quiet);
    assert_eq!(reply("mg a v"), Reply::Expected(Expected::Meta(MetaCodes::Get)));
    assert_eq!(reply("mn"), Reply::Expected(Expected::Noop));
    assert_eq!(command("ms a 12 T0").expect("canonical").value, Some(12));
}

#[test]
fn keys_in_base64_are_judged_as_what_they_are() {
    let keys = |line| command(line).map(|command| command.keys);
    assert_eq!(keys("mg cHViOjA= v b"), Ok(Keys::Decoded(b"pub:0".to_vec())));
    assert_eq!(keys("me cHViOiAw b"), Ok(Keys::Decoded(b"pub: 0".to_vec())));
    assert_eq!(keys("mg cHViOjA= v"), Ok(Keys::Words(b"cHViOjA=")));
    for line in ["mg YR== v b", "mg YQ v b", "mg a:b b", "ms YQ 1 b", "md = b"] {
        assert!(command(line).is_err(), "{line}");
    }
}

#[test]
fn flags_are_single_letters_with_canonical_tokens() {
    for line in [
        "mg",
        "mg ",
        "mg a ",
        "mg a  v",
        "mg a vv",
        "mg a v v",
        "mg a v1",
        "mg a O",
        "mg a Oé",
        "mg a O1234567890123456789012345678901",
        "mg a T",
        "mg a T01",
        "mg a Tx",
        "mg a N+1",
        "mg a Pfoo",
        "mg a Lfoo",
        "mg a x",
        "mg a C1",
        "mg a noreply",
        "mg a b",
        "ms a",
        "ms a x",
        "ms a 01",
        "ms a S1",
        "ms a 1 v",
        "ms a 1 M",
        "ms a 1 Mx",
        "ms a 1 Ms",
        "ms a 1 Mset",
        "ms a 1 F-1",
        "ms a 1 C-1",
        "ms a 1073741825",
        "md a v",
        "ma a Mincr",
        "ma a MS",
        "ma a D-1",
        "me a v",
        "me",
        "mn x",
        "mn ",
    ] {
        assert!(command(line).is_err(), "{line}");
    }
    let key = "k".repeat(250);
    assert!(command(&format!("mg {key} v")).is_ok());
    assert!(command(&format!("mg {key}k v")).is_err());
    let opaque = "1".repeat(MAX_OPAQUE_BYTES);
    assert!(command(&format!("mg a O{opaque}")).is_ok());
    assert!(command(&format!("mg a O{opaque}1")).is_err());
    assert!(command("mg YQ== b c f h k l O1 q s t u v E1 N1 R1 T1").is_ok(), "all at the cap");
}

/// Threats row 38: administrators' commands name no key.
#[test]
fn administrators_commands_by_their_words() {
    for (line, name) in [
        ("stats", "stats"),
        ("stats ", "stats"),
        ("flush_all ", "flush_all"),
        ("stats items", "stats"),
        ("stats settings", "stats"),
        ("stats conns", "stats_conns"),
        ("stats reset", "stats_reset"),
        ("stats detail dump", "stats_detail"),
        ("stats cachedump 1 0", "stats_cachedump"),
        ("flush_all", "flush_all"),
        ("flush_all 10 noreply", "flush_all"),
        ("verbosity 1", "verbosity"),
        ("cache_memlimit 64 noreply", "cache_memlimit"),
        ("slabs reassign -1 2", "slabs"),
        ("slabs automove 1", "slabs"),
        ("lru mode flat", "lru"),
        ("lru tune 10 25 0.1 2.0", "lru"),
        ("lru temp_ttl -1", "lru"),
        ("lru_crawler enable", "lru_crawler"),
        ("lru_crawler crawl 1,2,3", "lru_crawler"),
        ("lru_crawler tocrawl 5", "lru_crawler"),
        ("lru_crawler metadump all", "lru_crawler_dump"),
        ("lru_crawler metadump hash", "lru_crawler_dump"),
        ("lru_crawler mgdump 1", "lru_crawler_dump"),
        ("watch", "watch"),
        ("watch fetchers mutations", "watch"),
        ("shutdown", "shutdown"),
        ("shutdown graceful", "shutdown"),
    ] {
        let command = command(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(command.commands, name.as_bytes(), "{line}");
        assert_eq!((command.keys, command.dialect), (Keys::None, Dialect::Text), "{line}");
    }
    for line in [
        "stats  ",
        "stats  items",
        "flush_all  ",
        "stats x",
        "stats detail",
        "stats detail x",
        "stats cachedump 1",
        "stats cachedump 1 0 0",
        "stats sizes_enable",
        "flush_all -1",
        "flush_all 1 2",
        "flush_all x",
        "verbosity",
        "verbosity noreply",
        "cache_memlimit 01",
        "slabs",
        "slabs reassign 1",
        "slabs automove 3",
        "lru",
        "lru tune 10 25 0.1",
        "lru tune 10 25 0.1 x",
        "lru_crawler crawl hash",
        "lru_crawler crawl 1,",
        "lru_crawler metadump",
        "lru_crawler metadump 256",
        "watch ",
        "watch x",
        "shutdown now",
        "refresh_certs",
        "extstore free_memchunks 1 1",
    ] {
        assert!(command(line).is_err(), "{line}");
    }
}
