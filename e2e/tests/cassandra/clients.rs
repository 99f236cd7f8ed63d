//! cassandra-driver and cqlsh do a day's ordinary work twice: from inside the
//! server's pod to its own address, which passes no sidecar, and from another
//! pod through it. Where policy denies, each reports the driver's own error.

mod stage;

use crate::server::home;
use stage::{Way, Ways};

/// Operations and what each gave, as `clients/day.py` prints them.
fn a_day(ways: &Ways, way: Way, version: &str) -> Vec<(String, String)> {
    let script = format!("{}/tests/cassandra/clients/day.py", env!("CARGO_MANIFEST_DIR"));
    let text = ways.python(way, &["-B", &script, "HOST", version]);
    let lines = text.strip_suffix("exit 0").unwrap_or_else(|| panic!("it ends early: {text}"));
    let parts = lines.lines().filter_map(|line| line.split_once(": "));
    parts.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())).collect()
}

fn cqlsh(ways: &Ways, way: Way, statements: &str) -> String {
    let program = home().join("python/bin/cqlsh");
    ways.python(way, &["-B", program.to_str().expect("UTF-8"), "HOST", "-e", statements])
}

const STATEMENTS: &str = "
    CREATE KEYSPACE IF NOT EXISTS day WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
    USE day;
    CREATE TABLE IF NOT EXISTS shell (k int PRIMARY KEY, v text);
    INSERT INTO shell (k, v) VALUES (1, 'from the shell'); -- a comment
    CONSISTENCY;
    PAGING 10;
    SELECT * FROM shell;
    SELECT nothing FROM shell;
    DESCRIBE TABLE shell;
    DESCRIBE KEYSPACES;
    DROP TABLE shell;";

/// One server and one sidecar for all of it: they take longest to start.
#[test]
fn a_days_work_is_the_same_through_a_sidecar() {
    let ways = Ways::allowing();
    let full = std::env::var_os("REMORA_FULL").is_some();
    for version in ["4", "5", "3"].into_iter().take(if full { 3 } else { 2 }) {
        let [direct, through] = [Way::Direct, Way::Sidecar].map(|way| a_day(&ways, way, version));
        let differences: Vec<_> = direct.iter().zip(&through).filter(|(a, b)| a != b).collect();
        assert!(differences.is_empty() && direct.len() == through.len(), "{differences:#?}");
        for (name, outcome) in &through {
            let denied = outcome.contains("Unauthorized");
            assert!(!denied, "{name} is denied in v{version}: {outcome}");
        }
        let names: Vec<&str> = direct.iter().map(|(name, _)| name.as_str()).collect();
        println!("alike with cassandra-driver in v{version}: {}", names.join(", "));
    }
    let [direct, through] = [Way::Direct, Way::Sidecar].map(|way| cqlsh(&ways, way, STATEMENTS));
    assert_eq!(direct, through);
    assert!(through.contains("from the shell"), "{through}");

    ways.deny();
    for version in ["4", "5"] {
        let denied = a_day(&ways, Way::Sidecar, version);
        for (name, outcome) in &denied {
            println!("denied in v{version}: {name}: {outcome}");
            let driver_knows = outcome.starts_with("raises Unauthorized: ")
                && outcome.contains("denied by policy default/cassandra");
            let harmless = (name.starts_with("connect") && !outcome.starts_with("raises"))
                || name == "a mistake"
                || outcome == "'only in v5'";
            assert!(driver_knows || harmless, "{name}: {outcome}");
        }
    }
    let denied = cqlsh(&ways, Way::Sidecar, "SELECT * FROM day.denied");
    println!("denied: cqlsh: {denied}");
    assert!(denied.contains("Unauthorized") && denied.contains("select on day.denied"), "{denied}");
}
