//! What there is on the server: asked of the server itself, over a connection
//! that passes no parser.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::session::Session;

/// The tables, as rules name them. `PUB` is another keyspace than `pub`.
pub(crate) const TABLES: [&str; 5] = ["pub.t", "pub.u", "PUB.t", "secret.t", "secret.u"];

const ROWS: i32 = 3;

/// A table's name as CQL.
pub(crate) fn quoted(table: &str) -> String {
    table.replace("PUB", "\"PUB\"")
}

/// What marks the values of a table wherever they turn up.
fn mark(table: &str) -> String {
    format!("<{table}>")
}

/// Something that happened, and the actions of which one must have been allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Effect {
    pub(crate) table: String,
    pub(crate) actions: &'static [&'static str],
}

type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    tables: BTreeMap<&'static str, Option<Rows>>,
    /// Names of everything else: `what keyspace.name`.
    schema: BTreeSet<String>,
}

pub(crate) struct Oracle {
    session: Session,
    baseline: State,
}

impl Oracle {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut session = Session::open(address);
        for keyspace in ["pub", "\"PUB\"", "secret"] {
            session.run(&format!(
                "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                 {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
            ));
        }
        create_tables(&mut session);
        fill(&mut session);
        let baseline = observe(&mut session);
        Self { session, baseline }
    }

    pub(crate) fn prepare(&mut self, text: &str) -> Vec<u8> {
        self.session.prepare(text)
    }

    /// Which tables the server's answers tell of.
    pub(crate) fn reads(from_server: &[u8]) -> Vec<Effect> {
        let tells = |table: &&&str| {
            let mark = mark(table).into_bytes();
            from_server.windows(mark.len()).any(|window| window == mark)
        };
        let read = TABLES.iter().filter(tells);
        read.map(|table| Effect { table: (*table).to_owned(), actions: &["select"] }).collect()
    }

    /// What has changed since it was last as it should be; then all is so again.
    pub(crate) fn changes(&mut self) -> Vec<Effect> {
        let now = observe(&mut self.session);
        if now == self.baseline {
            return Vec::new();
        }
        let mut effects = BTreeSet::new();
        for (table, before) in &self.baseline.tables {
            let kinds = changed(before.as_ref(), now.tables[table].as_ref());
            effects.extend(kinds.map(|actions| Effect { table: (*table).to_owned(), actions }));
        }
        for name in now.schema.symmetric_difference(&self.baseline.schema) {
            let (what, name) = name.split_once(' ').expect("two words");
            let actions: &[&str] = match what {
                "table" => &["create-table", "drop-table"],
                "type" => &["create-type", "drop-type"],
                "view" => &["create-materialized-view", "drop-materialized-view"],
                "index" => &["create-index", "drop-index"],
                "column" => &["alter-table", "create-table", "drop-table"],
                _ => &["create-keyspace", "drop-keyspace"],
            };
            // A column is its table's.
            let table =
                if what == "column" { name.rsplit_once('.').map_or(name, |it| it.0) } else { name };
            effects.insert(Effect { table: table.to_owned(), actions });
        }
        self.mend(&now);
        effects.into_iter().collect()
    }

    fn mend(&mut self, now: &State) {
        let session = &mut self.session;
        for name in now.schema.difference(&self.baseline.schema) {
            let (what, name) = name.split_once(' ').expect("two words");
            let (keyspace, rest) = name.split_once('.').unwrap_or((name, ""));
            let (table, item) = rest.split_once('.').unwrap_or((rest, rest));
            let keyspace = format!("\"{keyspace}\"");
            let _ = match what {
                "table" => session.query(&format!("DROP TABLE {keyspace}.\"{table}\"")),
                "type" => session.query(&format!("DROP TYPE {keyspace}.{item}")),
                "view" => session.query(&format!("DROP MATERIALIZED VIEW {keyspace}.{item}")),
                "index" => session.query(&format!("DROP INDEX {keyspace}.{item}")),
                "column" => {
                    session.query(&format!("ALTER TABLE {keyspace}.\"{table}\" DROP {item}"))
                }
                _ => session.query(&format!("DROP KEYSPACE {keyspace}")),
            };
        }
        if now.schema != self.baseline.schema {
            for keyspace in ["pub", "\"PUB\"", "secret"] {
                session.run(&format!(
                    "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                     {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
                ));
            }
            create_tables(session);
        }
        // A row with a timestamp of the future outlives being deleted. Of a
        // connection that the server has hung up on, something may still come.
        for attempt in 0..MENDS {
            let tables = observe(session).tables;
            let wrong =
                tables.iter().filter(|(table, rows)| self.baseline.tables[*table] != **rows);
            for (table, rows) in wrong {
                empty(session, table, rows.as_ref(), attempt > 0);
            }
            fill(session);
            if observe(session) == self.baseline {
                return;
            }
        }
        panic!("cannot be mended: {:?}", observe(session));
    }
}

/// How often the tables are set right before that is given up.
const MENDS: usize = 5;

/// Deletes row by row, which is quick, or all at once, which is thorough.
fn empty(session: &mut Session, table: &str, rows: Option<&Rows>, thoroughly: bool) {
    if thoroughly {
        session.run(&format!("TRUNCATE {}", quoted(table)));
        return;
    }
    for key in rows.iter().flat_map(|rows| rows.keys()) {
        let key = i32::from_be_bytes(key.as_slice().try_into().expect("an int"));
        session.run(&format!("DELETE FROM {} WHERE k = {key}", quoted(table)));
    }
}

fn create_tables(session: &mut Session) {
    for table in TABLES {
        let table = quoted(table);
        session.run(&format!("CREATE TABLE IF NOT EXISTS {table} (k int PRIMARY KEY, v text)"));
    }
}

fn fill(session: &mut Session) {
    for table in TABLES {
        for key in 0..ROWS {
            let (table, mark) = (quoted(table), mark(table));
            session.run(&format!("INSERT INTO {table} (k, v) VALUES ({key}, '{mark} {key}')"));
        }
    }
}

fn observe(session: &mut Session) -> State {
    let mut content = |table: &str| {
        let rows = session.query(&format!("SELECT k, v FROM {}", quoted(table))).ok()?;
        let pair = |row: Vec<Option<Vec<u8>>>| {
            let [key, value] = row.try_into().expect("two columns");
            (key.expect("a key"), value)
        };
        Some(rows.into_iter().map(pair).collect::<Rows>())
    };
    let tables = TABLES.iter().map(|table| (*table, content(table))).collect();
    let mut schema = BTreeSet::new();
    for (what, columns, table) in [
        ("keyspace", "keyspace_name", "keyspaces"),
        ("table", "keyspace_name, table_name", "tables"),
        ("column", "keyspace_name, table_name, column_name", "columns"),
        ("type", "keyspace_name, type_name", "types"),
        ("view", "keyspace_name, view_name", "views"),
        ("index", "keyspace_name, index_name", "indexes"),
    ] {
        let rows = session.query(&format!("SELECT {columns} FROM system_schema.{table}"));
        for row in rows.expect("the schema") {
            let words =
                row.into_iter().flatten().map(|word| String::from_utf8(word).expect("a name"));
            let name = words.collect::<Vec<_>>().join(".");
            if !name.starts_with("system") {
                schema.insert(format!("{what} {name}"));
            }
        }
    }
    State { tables, schema }
}

/// What must have been done to a table's rows, by what became of them.
fn changed(
    before: Option<&Rows>,
    now: Option<&Rows>,
) -> impl Iterator<Item = &'static [&'static str]> {
    const GONE: &[&str] = &["delete", "truncate-table", "drop-table", "drop-keyspace"];
    const WRITTEN: &[&str] = &["insert", "update"];
    let (empty, none) = (Rows::new(), Rows::new());
    let (before, now) = (before.unwrap_or(&empty), now.unwrap_or(&none));
    let gone = before.keys().any(|key| !now.contains_key(key));
    let written = now.iter().any(|(key, value)| {
        // A column may also be deleted.
        before.get(key) != Some(value) && value.is_some()
    });
    let emptied = now.iter().any(|(key, value)| value.is_none() && before.get(key) != Some(&None));
    const EMPTIED: &[&str] = &["insert", "update", "delete"];
    let kinds = [(gone, GONE), (written, WRITTEN), (emptied, EMPTIED)];
    kinds.into_iter().filter_map(|(happened, actions)| happened.then_some(actions))
}
