//! Connections that a client, or an attacker, might make: envelopes, and the
//! places where the client waits for all answers.

use fastrand::Rng;

use super::oracle::{Oracle, TABLES, quoted};
use crate::native::{
    BATCH, CQL, OPTIONS, QUERY, batch, envelope, execute, flagged, long, plain, prepare,
    prepared_item, query, startup, string, text_item,
};

/// A connection's envelopes behind `STARTUP`; an empty one waits for answers.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) version: u8,
    pub(crate) startup: Vec<u8>,
    pub(crate) envelopes: Vec<Vec<u8>>,
}

/// What changes where a token ends, or what stands between two.
const MARKS: [&str; 24] = [
    "'",
    "''",
    "\"",
    "\"\"",
    "$$",
    "--",
    "//",
    "/*",
    "*/",
    "\n",
    "\r",
    ";",
    "(",
    ")",
    ".",
    "0x",
    "e1",
    "1",
    "-",
    " FROM secret.t ",
    "/*' from pub.t '*/",
    "\u{b5}",
    "\0",
    "--\r",
];

pub(crate) struct Generator {
    pub(crate) random: Rng,
    /// Statements that somebody has prepared, and their ids.
    prepared: Vec<(String, Vec<u8>)>,
    stream: i16,
    version: u8,
}

impl Generator {
    pub(crate) fn new(seed: u64, oracle: &mut Oracle) -> Self {
        let texts = TABLES.iter().flat_map(|table| {
            let table = quoted(table);
            [
                format!("SELECT * FROM {table}"),
                format!("INSERT INTO {table} (k, v) VALUES (77, 'prepared')"),
                format!("DELETE FROM {table} WHERE k = 1"),
            ]
        });
        let prepared = texts.map(|text| (text.clone(), oracle.prepare(&text))).collect();
        Self { random: Rng::with_seed(seed), prepared, stream: 0, version: 4 }
    }

    pub(crate) fn connection(&mut self) -> Case {
        self.version = [4, 4, 4, 3, 5, 5][self.random.usize(..6)];
        self.stream = 0;
        let version = self.version;
        if self.chance(2) && version < 5 {
            return self.compressed();
        }
        let mut envelopes = Vec::new();
        for _ in 0..self.random.usize(1..=4) {
            match self.random.u8(..100) {
                ..62 => envelopes.push(self.request()),
                62..68 => envelopes.extend(self.use_then()),
                68..74 => envelopes.extend(self.prepare_then()),
                _ => envelopes.extend(self.trick()),
            }
        }
        if self.chance(10) {
            let at = self.random.usize(..envelopes.len());
            self.mutate(&mut envelopes[at]);
        }
        Case { version, startup: startup(version, &[CQL]), envelopes }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.random.choice(from).copied().unwrap_or_default()
    }

    fn stream(&mut self) -> i16 {
        self.stream += 1;
        if self.chance(1) { 1 } else { self.stream }
    }

    /// Mostly one that most policies allow to be read.
    fn table(&mut self) -> String {
        let table = if self.chance(70) { self.pick(&TABLES[..2]) } else { self.pick(&TABLES) };
        quoted(table)
    }

    fn query(&mut self, text: &str) -> Vec<u8> {
        let stream = self.stream();
        query(self.version, stream, text)
    }

    fn request(&mut self) -> Vec<u8> {
        let mut text = self.statement();
        while self.chance(12) {
            let at = self.random.usize(..text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, self.pick(&MARKS));
            }
        }
        match self.random.u8(..100) {
            ..80 => self.query(&text),
            80..84 => {
                let stream = self.stream();
                envelope(self.version, stream, OPTIONS, b"")
            }
            84..88 => {
                let stream = self.stream();
                prepare(self.version, stream, &text)
            }
            88..92 => {
                let id = self.prepared[self.random.usize(..self.prepared.len())].1.clone();
                let stream = self.stream();
                execute(self.version, stream, &id)
            }
            _ => {
                let items: Vec<_> = (0..self.random.usize(1..4)).map(|_| self.item()).collect();
                let stream = self.stream();
                batch(self.version, stream, &items)
            }
        }
    }

    fn item(&mut self) -> Vec<u8> {
        if self.chance(15) {
            let id = self.prepared[self.random.usize(..self.prepared.len())].1.clone();
            return prepared_item(&id, &[]);
        }
        let text = self.write();
        text_item(&text)
    }

    fn write(&mut self) -> String {
        let (table, key) = (self.table(), self.random.u8(..9));
        let end = if self.chance(6) { " IF NOT EXISTS" } else { "" };
        match self.random.u8(..10) {
            ..6 => format!("INSERT INTO {table} (k, v) VALUES ({key}, 'new'){end}"),
            6..8 => format!("UPDATE {table} SET v = 'it''s' WHERE k = {key}"),
            _ => format!("DELETE FROM {table} WHERE k = {key}"),
        }
    }

    fn statement(&mut self) -> String {
        let table = self.table();
        match self.random.u16(..1000) {
            ..620 => {
                let what = self.pick(&["*", "k, v", "JSON *", "v AS \"from\"", "token(k), v"]);
                let end = self.pick(&["", " LIMIT 10", " WHERE k = 1", " ALLOW FILTERING", ";"]);
                let space = self.pick(&[" ", "\n", " /* x */ ", " -- y\n", "\t"]);
                format!("SELECT {what}{space}FROM{space}{table}{end}")
            }
            620..950 => self.write(),
            950..980 => {
                let (one, two) = (self.write(), self.write());
                format!("BEGIN BATCH {one}; {two} APPLY BATCH")
            }
            980..985 => format!("TRUNCATE {table}"),
            985..987 => format!("DROP TABLE IF EXISTS {table}"),
            987..989 => format!("ALTER TABLE {table} ADD extra int"),
            _ => "DESCRIBE CLUSTER".to_owned(),
        }
    }

    /// A keyspace is taken into use, and tables of it named alone.
    fn use_then(&mut self) -> Vec<Vec<u8>> {
        let keyspace = self.pick(&["pub", "secret", "\"PUB\"", "PUB", "nowhere"]);
        let used = self.query(&format!("USE {keyspace}"));
        let wait = if self.chance(60) { vec![Vec::new()] } else { Vec::new() };
        let text = self.pick(&["SELECT * FROM t", "INSERT INTO t (k, v) VALUES (5, 'alone')"]);
        let then = self.query(text);
        [vec![used], wait, vec![then]].concat()
    }

    fn prepare_then(&mut self) -> Vec<Vec<u8>> {
        let (text, id) = self.prepared[self.random.usize(..self.prepared.len())].clone();
        let (one, two) = (self.stream(), self.stream());
        let then = if self.chance(80) {
            execute(self.version, two, &id)
        } else {
            batch(self.version, two, &[prepared_item(&id, &[])])
        };
        vec![prepare(self.version, one, &text), Vec::new(), then]
    }

    /// What the rows of the threats are about.
    fn trick(&mut self) -> Vec<Vec<u8>> {
        let version = self.version;
        let text = match self.random.u8(..22) {
            0 => "SELECT * FROM secret.t WHERE v = ' from pub.t ' ALLOW FILTERING".to_owned(),
            1 => "SELECT * FROM secret.t /* from pub.t */".to_owned(),
            2 => "SELECT v AS \" from pub.t \" FROM secret.t".to_owned(),
            3 => "SELECT -- from pub.t\r* FROM secret.t".to_owned(),
            4 => "SELECT * FROM secret.t WHERE v != $$ from pub.t $$ ALLOW FILTERING".to_owned(),
            5 => "TRUNCATE secret.t".to_owned(),
            6 => "ALTER TABLE IF EXISTS secret.t ADD extra int".to_owned(),
            7 | 8 => "SELECT * FROM \"PUB\".t".to_owned(),
            9 => "INSERT INTO \"PUB\".t (k, v) VALUES (8, 'case')".to_owned(),
            10 => {
                self.pick(&["CREATE TYPE pub.kind (a int)", "CREATE INDEX ON pub.t (v)"]).to_owned()
            }
            11 => return vec![self.payload()],
            12 if version == 5 => return self.own_keyspace(),
            13 => return self.moved_keyspace(),
            14 | 15 => {
                let id = self.prepared.iter().find(|(text, _)| text == "SELECT * FROM secret.t");
                let id = id.expect("prepared").1.clone();
                let stream = self.stream();
                return vec![execute(version, stream, &id)];
            }
            16 | 17 => {
                let first = text_item("INSERT INTO pub.t (k, v) VALUES (6, 'first')");
                let other = text_item("INSERT INTO secret.t (k, v) VALUES (6, 'behind')");
                let stream = self.stream();
                return vec![batch(version, stream, &[first, other])];
            }
            18 => "SELECT * FROM pub.t; SELECT * FROM secret.t".to_owned(),
            19 => "INSERT INTO secret.t (k, v) VALUES (1, 'x') IF NOT EXISTS".to_owned(),
            20 => {
                let stream = self.stream();
                let code = self.random.u8(0x10..0x20);
                return vec![envelope(version, stream, code, b"\0\0\0\x01x")];
            }
            _ => {
                "BEGIN BATCH INSERT INTO pub.t (k, v) VALUES (6, 'a'); INSERT INTO secret.t (k, v) \
                  VALUES (6, 'b') APPLY BATCH"
                    .to_owned()
            }
        };
        vec![self.query(&text)]
    }

    /// A payload before the query, which moves it.
    fn payload(&mut self) -> Vec<u8> {
        let query = long(b"SELECT * FROM secret.t");
        let front = [&[0, 1][..], &string("key"), &long(b"value")].concat();
        let stream = self.stream();
        flagged(self.version, 4, stream, QUERY, &[&front[..], &query, plain(self.version)].concat())
    }

    /// v5: the request says itself which keyspace it is about.
    fn own_keyspace(&mut self) -> Vec<Vec<u8>> {
        let used = self.query("USE pub");
        let options = [&b"\0\x01\0\0\0\x80"[..], &string("secret")].concat();
        let text = long(b"SELECT * FROM t");
        let stream = self.stream();
        let then = if self.chance(80) {
            envelope(5, stream, QUERY, &[&text[..], &options].concat())
        } else {
            let item = text_item("INSERT INTO t (k, v) VALUES (4, 'own')");
            envelope(5, stream, BATCH, &[&b"\0\0\x01"[..], &item, &options].concat())
        };
        vec![used, Vec::new(), then]
    }

    /// A `USE` that the server does not carry out.
    fn moved_keyspace(&mut self) -> Vec<Vec<u8>> {
        let used = self.query("USE secret");
        let stream = self.stream();
        let moved = match self.random.u8(..3) {
            0 => prepare(self.version, stream, "USE pub"),
            1 => batch(self.version, stream, &[text_item("USE pub")]),
            _ => query(self.version, stream, "USE pub x"),
        };
        let then = self.query("SELECT * FROM t");
        vec![used, Vec::new(), moved, Vec::new(), then]
    }

    /// Compression that is asked for, and made use of.
    fn compressed(&mut self) -> Case {
        let version = self.version;
        // A write: the answers to a read would be compressed, too.
        let text = long(b"INSERT INTO secret.t (k, v) VALUES (7, 'lz4')");
        let body = [&text[..], plain(version)].concat();
        // An LZ4 block of literals, behind the length of what it stands for.
        let literals = body.len() as u8 - 15;
        let block = [&[0xf0, literals], &body[..]].concat();
        let body = [&(body.len() as u32).to_be_bytes()[..], &block].concat();
        let options = [CQL, ("COMPRESSION", "lz4")];
        let envelopes = vec![flagged(version, 1, 1, QUERY, &body)];
        Case { version, startup: startup(version, &options), envelopes }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.random.usize(..bytes.len());
        match self.random.u8(..3) {
            0 => bytes[at] = self.random.u8(..),
            1 => bytes.insert(at, self.random.u8(..)),
            _ => {
                bytes.remove(at);
            }
        }
    }
}
