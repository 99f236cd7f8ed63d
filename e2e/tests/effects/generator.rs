//! Connections that a client, or an attacker, might make.

use fastrand::Rng;

use super::oracle::KEYS;

pub(crate) struct Generator {
    pub(crate) random: Rng,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed) }
    }

    /// The arrivals of one connection.
    pub(crate) fn connection(&mut self) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        let binary = self.chance(30);
        for _ in 0..self.random.usize(1..=6) {
            let request = match (binary, self.chance(8)) {
                (false, false) => self.request(),
                (false, true) => self.trick(),
                (true, false) => self.binary_request(),
                (true, true) => self.binary_trick(),
            };
            bytes.extend_from_slice(&request);
        }
        if self.chance(15) {
            for _ in 0..self.random.usize(1..=2) {
                self.mutate(&mut bytes);
            }
        }
        self.cut(bytes)
    }

    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.random.choice(from).copied().unwrap_or_default()
    }

    /// Mostly a key that most policies allow.
    pub(crate) fn key(&mut self) -> &'static str {
        if self.chance(72) { self.pick(&KEYS[..3]) } else { self.pick(&KEYS) }
    }

    fn request(&mut self) -> Vec<u8> {
        let key = self.key();
        let noreply = if self.chance(15) { " noreply" } else { "" };
        match self.random.u8(..100) {
            0..36 => {
                let mut line = self.pick(&["get", "get", "gets"]).to_owned();
                line += &format!(" {key}");
                while self.chance(20) {
                    line += &format!(" {}", self.key());
                }
                format!("{line}\r\n").into_bytes()
            }
            36..58 => {
                let name = self.pick(&["set", "set", "add", "replace", "append", "prepend"]);
                let expiry = self.pick(&["0", "0", "0", "100", "-1"]);
                let value = self.value();
                let header = format!("{name} {key} 0 {expiry} {}{noreply}\r\n", value.len());
                [header.as_bytes(), &value, b"\r\n"].concat()
            }
            58..63 => format!("delete {key}{noreply}\r\n").into_bytes(),
            63..68 => {
                let name = self.pick(&["incr", "decr"]);
                format!("{name} {key} {}{noreply}\r\n", self.random.u8(..)).into_bytes()
            }
            68..71 => format!("touch {key} 100{noreply}\r\n").into_bytes(),
            71..73 => format!("{} 100 {key}\r\n", self.pick(&["gat", "gats"])).into_bytes(),
            73..75 => {
                format!("cas {key} 0 0 1 {}{noreply}\r\n9\r\n", self.random.u8(1..9)).into_bytes()
            }
            75..92 => self.meta(key),
            92..95 => b"version\r\n".to_vec(),
            95..96 => b"quit\r\n".to_vec(),
            _ => self.other(key).into_bytes(),
        }
    }

    /// A meta command, often a quiet one.
    fn meta(&mut self, key: &str) -> Vec<u8> {
        let (key, b) = if self.chance(15) { (base64(key), " b") } else { (key.to_owned(), "") };
        let q = if self.chance(40) { " q" } else { "" };
        let line = match self.random.u8(..100) {
            0..40 => {
                let flags = self.pick(&[" v", " v t f c", " v k O1", " s", " h l t", ""]);
                let more = self.pick(&["", "", "", " T100", " N100", " R30", " T-1"]);
                format!("mg {key}{flags}{more}")
            }
            40..60 => {
                let mode = self.pick(&["", " ME", " MR", " MA", " MP N0", " C3", " I", " T100"]);
                let value = self.value();
                let line = format!("ms {key} {}{mode}{b}{q}\r\n", value.len());
                return [line.as_bytes(), &value, b"\r\n"].concat();
            }
            60..70 => format!("md {key}{}", self.pick(&["", "", " I", " I T100"])),
            70..80 => format!("ma {key}{}", self.pick(&["", " MD D2", " N0 J5", " T100", " v"])),
            80..86 => return format!("me {key}{b}\r\n").into_bytes(),
            _ => return b"mn\r\n".to_vec(),
        };
        format!("{line}{b}{q}\r\n").into_bytes()
    }

    /// Commands of administrators, and some that nobody knows.
    fn other(&mut self, key: &str) -> String {
        match self.random.u8(..10) {
            0 => "flush_all\r\n".into(),
            1 => "stats\r\n".into(),
            2 => "flush_all 100000 noreply\r\n".into(),
            3 => "stats cachedump 1 0\r\n".into(),
            4 => "lru_crawler metadump all\r\n".into(),
            5 => "stats detail dump\r\n".into(),
            6 => "cache_memlimit 64\r\n".into(),
            7 => "stats reset\r\n".into(),
            8 => format!("bget {key}\r\n"),
            _ => "verbosity 0\r\n".into(),
        }
    }

    /// A value, often one that is a request in its own right.
    fn value(&mut self) -> Vec<u8> {
        match self.random.u8(..10) {
            0..3 => self.payload(),
            3 => b"x\r\nEND\r\n".to_vec(),
            _ => self.random.u16(..).to_string().into_bytes(),
        }
    }

    /// Requests for keys that most policies forbid.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        let key = self.pick(&KEYS[3..]);
        let request = match self.random.u8(..5) {
            0 => format!("get {key}\r\n"),
            1 => format!("delete {key}\r\n"),
            2 => format!("incr {key} 1\r\n"),
            3 => "flush_all\r\n".to_owned(),
            _ => format!("set {key} 0 0 1\r\nx\r\n"),
        };
        request.into_bytes()
    }

    /// What servers and careless parsers read differently (threats rows 30–33, 36).
    fn trick(&mut self) -> Vec<u8> {
        let (key, payload) = (self.key(), self.payload());
        let length = payload.len();
        let header = match self.random.u8(..10) {
            0 => format!("get {key}\n"),
            8 => return format!("get {key}\nflush_all\r\n").into_bytes(),
            9 => return format!("set {key} 0 0 1 xx\r\n5\r\nget {key}\r\n").into_bytes(),
            1 => format!("set pub:{} 0 0 {length}\r\n", "k".repeat(self.random.usize(241..256))),
            2 => format!("set {key} x 0 {length}\r\n"),
            3 => format!("set {key} 0 x {length}\r\n"),
            4 => format!("set {key} 0 0 -{length}\r\n"),
            // By spaces the value has two bytes, by any white space `length`.
            5 => return self.tab_trick(key, &payload),
            6 => format!("set {key} 0 0 {length} xx\r\n"),
            _ => format!("delete {key} 0 noreply\r\n"),
        };
        [header.as_bytes(), &payload, b"\r\n"].concat()
    }

    fn tab_trick(&mut self, key: &str, payload: &[u8]) -> Vec<u8> {
        let space = self.pick(&["\t", "\x0b", "\x0c"]);
        let hidden = [b"hi\r\n", payload].concat();
        let word = self.pick(&["0", "7", "b"]);
        let header = format!("set {key}{space}{word} 0 {} 2\r\n", hidden.len());
        [header.as_bytes(), &hidden, b"\r\n"].concat()
    }

    /// Changes the bytes at one place.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.usize(..bytes.len());
        match self.random.u8(..6) {
            0 => bytes[at] = self.random.u8(..),
            1 => bytes.insert(at, *self.random.choice(b" \t\r\n0").expect("some")),
            2 => {
                bytes.remove(at);
                if bytes.is_empty() {
                    bytes.push(b'g');
                }
            }
            3 => {
                let (from, to) =
                    (*self.random.choice(b" \r\n0").expect("some"), self.random.u8(..));
                if let Some(byte) = bytes.iter_mut().find(|byte| **byte == from) {
                    *byte = to;
                }
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend_from_slice(&again);
            }
        }
    }

    /// Cuts a connection's bytes into arrivals.
    fn cut(&mut self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        if self.chance(50) {
            return vec![bytes];
        }
        let mut rest = bytes.as_slice();
        let mut arrivals = Vec::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.random.usize(1..=rest.len()));
            arrivals.push(now.to_vec());
            rest = later;
        }
        arrivals
    }
}

/// Standard base64, padded.
fn base64(key: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in key.as_bytes().chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}
