//! Asks the server itself what happened to the keys.
//!
//! `me KEY` (protocol.txt, "Meta Debug") tells of an item without touching it:
//! whether it was ever fetched, its CAS number, which changes with each write,
//! and its expiry.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use super::server::Memcached;

/// The keys that exist when a case begins.
pub(crate) const KEYS: [&str; 8] =
    ["pub:0", "pub:1", "pub:22", "pub", "pubs:0", "sec:0", "sec:1", "sec:pub:0"];

/// A key that no client asks for: only a flush takes it away.
const CANARY: &str = "canary";

/// What a key is set to: a number, so that incr and decr work too.
const VALUE: &str = "5";

pub(crate) struct Oracle {
    stream: BufReader<UnixStream>,
    before: BTreeMap<&'static str, Item>,
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
    /// Its fetched mark was set: by a read, or by a touch.
    Read,
    Written,
    /// Its expiry alone was changed.
    Touched,
    Gone,
    /// Its metadata was told (`me`).
    Told,
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

impl Effects {
    fn read_lines(&mut self, replies: &[u8]) {
        const ADMIN: [&[u8]; 5] = [b"STAT ", b"ITEM ", b"PREFIX ", b"key=", b"RESET"];
        for line in replies.split(|byte| *byte == b'\n') {
            self.admin_reply |= line == b"OK\r" || ADMIN.iter().any(|word| line.starts_with(word));
            self.version_reply |= line.starts_with(b"VERSION ");
            let told = line.strip_prefix(b"ME ").and_then(|rest| {
                let key = rest.split(|byte| *byte == b' ').next()?;
                KEYS.into_iter().find(|known| known.as_bytes() == key)
            });
            self.keys.extend(told.map(|key| (key, Effect::Told)));
        }
    }

    fn read_frames(&mut self, mut replies: &[u8]) {
        while let [0x81, opcode, _, _, _, _, s1, s0, b3, b2, b1, b0, ..] = *replies {
            let done = (s1, s0) == (0, 0);
            self.admin_reply |= done && matches!(opcode, 0x08 | 0x18 | 0x10);
            self.version_reply |= done && opcode == 0x0b;
            let length = 24 + u32::from_be_bytes([b3, b2, b1, b0]) as usize;
            replies = replies.get(length..).unwrap_or_default();
        }
    }
}

impl Oracle {
    pub(crate) fn connect(server: &Memcached) -> Self {
        let stream = BufReader::new(server.connect());
        Self { stream, before: BTreeMap::new() }
    }

    /// Puts every key back to what a case begins with.
    pub(crate) fn seed(&mut self) {
        assert!(self.try_seed(), "a key could not be set");
    }

    /// The same on a server to which a flush for later may have been sent: in
    /// the second in which its time comes, nothing that is set stays.
    pub(crate) fn seed_when_it_can(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.try_seed() {
            assert!(Instant::now() < deadline, "a key could not be set");
        }
    }

    fn try_seed(&mut self) -> bool {
        let keys = KEYS.iter().chain([&CANARY]);
        let sets: String =
            keys.map(|key| format!("set {key} 0 0 1 noreply\r\n{VALUE}\r\n")).collect();
        self.send(&sets);
        self.before = self.items();
        self.before.len() == KEYS.len() + 1
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
            if after.cas != before.cas {
                effects.keys.push((key, Effect::Written));
            } else if after.expiry != before.expiry {
                effects.keys.push((key, Effect::Touched));
            }
            if after.fetched {
                effects.keys.push((key, Effect::Read));
            }
        }
        effects.flushed = !after.contains_key(CANARY);
        if replies.first() == Some(&0x81) {
            effects.read_frames(replies);
        } else {
            effects.read_lines(replies);
        }
        effects
    }

    fn items(&mut self) -> BTreeMap<&'static str, Item> {
        let keys = || KEYS.into_iter().chain([CANARY]);
        let asks: String = keys().map(|key| format!("me {key}\r\n")).collect();
        self.send(&asks);
        let mut items = BTreeMap::new();
        for key in keys() {
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

    /// How often the cache was flushed: some flushes take effect later.
    pub(crate) fn flush_count(&mut self) -> u64 {
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
