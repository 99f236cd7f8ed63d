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
        for _ in 0..self.random.usize(1..=5) {
            let request = if self.chance(8) { self.trick() } else { self.request() };
            bytes.extend_from_slice(&request);
        }
        if self.chance(15) {
            for _ in 0..self.random.usize(1..=2) {
                self.mutate(&mut bytes);
            }
        }
        self.cut(bytes)
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.random.choice(from).copied().unwrap_or_default()
    }

    /// Mostly a key that most policies allow.
    fn key(&mut self) -> &'static str {
        if self.chance(72) { self.pick(&KEYS[..3]) } else { self.pick(&KEYS) }
    }

    fn request(&mut self) -> Vec<u8> {
        let key = self.key();
        let noreply = if self.chance(15) { " noreply" } else { "" };
        match self.random.u8(..100) {
            0..44 => {
                let mut line = self.pick(&["get", "get", "gets"]).to_owned();
                line += &format!(" {key}");
                while self.chance(20) {
                    line += &format!(" {}", self.key());
                }
                format!("{line}\r\n").into_bytes()
            }
            44..72 => {
                let name = self.pick(&["set", "set", "add", "replace"]);
                let expiry = self.pick(&["0", "0", "0", "100", "-1"]);
                let value = self.value();
                let header = format!("{name} {key} 0 {expiry} {}{noreply}\r\n", value.len());
                [header.as_bytes(), &value, b"\r\n"].concat()
            }
            72..80 => format!("delete {key}{noreply}\r\n").into_bytes(),
            80..88 => {
                let name = self.pick(&["incr", "decr"]);
                format!("{name} {key} {}{noreply}\r\n", self.random.u8(..)).into_bytes()
            }
            88..92 => b"version\r\n".to_vec(),
            92..93 => b"quit\r\n".to_vec(),
            _ => self.other(key).into_bytes(),
        }
    }

    /// Commands that the parser does not know, and that do something.
    fn other(&mut self, key: &str) -> String {
        match self.random.u8(..9) {
            0 => "flush_all\r\n".into(),
            1 => "stats\r\n".into(),
            2 => format!("touch {key} 100\r\n"),
            3 => format!("gat 100 {key}\r\n"),
            4 => format!("mg {key} v\r\n"),
            5 => format!("ms {key} 1\r\nx\r\n"),
            6 => format!("md {key}\r\n"),
            7 => format!("append {key} 0 0 1\r\nx\r\n"),
            _ => "verbosity 0\r\n".into(),
        }
    }

    /// A value, often one that is a request in its own right.
    fn value(&mut self) -> Vec<u8> {
        if self.chance(30) { self.payload() } else { self.random.u16(..).to_string().into_bytes() }
    }

    /// Requests for keys that most policies forbid.
    fn payload(&mut self) -> Vec<u8> {
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
        let header = match self.random.u8(..8) {
            0 => format!("get {key}\n"),
            1 => format!("set {} 0 0 {length}\r\n", "k".repeat(self.random.usize(245..260))),
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
