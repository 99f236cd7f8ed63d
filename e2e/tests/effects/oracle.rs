//! Asks the server itself what happened to the keys.
//!
//! `me KEY` (protocol.txt, "Meta Debug") tells of an item without touching it:
//! whether it was ever fetched, its CAS number, which changes with each write,
//! and its expiry.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use super::server::Memcached;

/// The keys that exist when a case begins.
pub(crate) const KEYS: [&str; 8] =
    ["pub:0", "pub:1", "pub:22", "pub", "pubs:0", "sec:0", "sec:1", "sec:pub:0"];

/// What a key is set to: a number, so that incr and decr work too.
const VALUE: &str = "5";

pub(crate) struct Oracle {
    stream: BufReader<UnixStream>,
    before: BTreeMap<&'static str, Item>,
    flushes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    cas: String,
    expiry: String,
    fetched: bool,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Written,
    Gone,
}

#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) keys: Vec<(&'static str, Effect)>,
    pub(crate) flushed: bool,
    /// Replies that only an administrator's command, or `version`, gets.
    pub(crate) admin_reply: bool,
    pub(crate) version_reply: bool,
}

impl Effects {
    pub(crate) fn read_something(&self) -> bool {
        self.keys.iter().any(|(_, effect)| *effect == Effect::Read)
    }

    pub(crate) fn wrote_something(&self) -> bool {
        self.keys.iter().any(|(_, effect)| matches!(effect, Effect::Written | Effect::Gone))
    }
}

impl Oracle {
    pub(crate) fn connect(server: &Memcached) -> Self {
        let stream = BufReader::new(server.connect());
        Self { stream, before: BTreeMap::new(), flushes: 0 }
    }

    /// Puts every key back to what a case begins with.
    pub(crate) fn seed(&mut self) {
        let sets: String =
            KEYS.iter().map(|key| format!("set {key} 0 0 1 noreply\r\n{VALUE}\r\n")).collect();
        self.send(&sets);
        self.before = self.items();
        assert_eq!(self.before.len(), KEYS.len(), "a key could not be set");
        self.flushes = self.flush_count();
    }

    /// What has changed since then. `replies` is all that the server said on
    /// the connection under test.
    pub(crate) fn effects(&mut self, replies: &[u8]) -> Effects {
        let after = self.items();
        let mut effects = Effects::default();
        for key in KEYS {
            let before = &self.before[key];
            let Some(after) = after.get(key) else {
                effects.keys.push((key, Effect::Gone));
                continue;
            };
            if after.cas != before.cas || after.expiry != before.expiry {
                effects.keys.push((key, Effect::Written));
            }
            if after.fetched {
                effects.keys.push((key, Effect::Read));
            }
        }
        effects.flushed = self.flush_count() != self.flushes;
        for line in replies.split(|byte| *byte == b'\n') {
            effects.admin_reply |= line.starts_with(b"STAT ") || line == b"OK\r";
            effects.version_reply |= line.starts_with(b"VERSION ");
        }
        effects
    }

    fn items(&mut self) -> BTreeMap<&'static str, Item> {
        let asks: String = KEYS.iter().map(|key| format!("me {key}\r\n")).collect();
        self.send(&asks);
        let mut items = BTreeMap::new();
        for key in KEYS {
            let line = self.line();
            if line.starts_with("EN") {
                continue;
            }
            let field = |name: &str| {
                let mut words = line.split(' ');
                let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                value.unwrap_or_else(|| panic!("no {name} in {line:?}")).to_owned()
            };
            let fetched = field("fetch") == "yes";
            items.insert(key, Item { cas: field("cas"), expiry: field("exp"), fetched });
        }
        items
    }

    fn flush_count(&mut self) -> u64 {
        self.send("stats\r\n");
        let mut count = None;
        loop {
            let line = self.line();
            if line == "END" {
                return count.expect("stats have cmd_flush");
            }
            if let Some(value) = line.strip_prefix("STAT cmd_flush ") {
                count = value.parse().ok();
            }
        }
    }

    fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).expect("the oracle's connection lives");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("memcached answers the oracle");
        line.trim_end().to_owned()
    }
}
