//! Holds the limits that the injector writes, those that the sidecar reads and
//! those that the documentation shows to each other.

use std::{fs, path::Path};

use remora_injector::{LIMITS, Unit};
use remora_sidecar::limits::LIMITS as TAKEN;

#[test]
fn what_the_injector_writes_the_sidecar_takes() {
    let written: Vec<_> = LIMITS.iter().map(|limit| limit.variable).collect();
    let taken: Vec<_> = TAKEN.iter().map(|limit| limit.variable).collect();
    assert_eq!(written, taken);
    for (limit, taken) in LIMITS.iter().zip(TAKEN) {
        let (least, most) = taken.range;
        assert_eq!((limit.least, limit.default), (least, taken.default), "{}", limit.variable);
        assert!((least..=most).contains(&limit.default), "{}", limit.variable);
    }
}

#[test]
fn the_documentation_shows_every_limit_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits.md");
    let text = fs::read_to_string(path).expect("docs/limits.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `remora.dev/"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), LIMITS.len());
    for (row, limit) in rows.iter().zip(LIMITS) {
        let write = |value: u64| match (limit.unit, value) {
            (Unit::Seconds, value) if value % 3600 == 0 => format!("{}h", value / 3600),
            (Unit::Seconds, value) => format!("{value}s"),
            (Unit::Number, value) => value.to_string(),
            (Unit::Bytes, value) => format!("{}Mi", value >> 20),
        };
        let name = |name: &str| format!("`{name}`");
        let shown = [
            name(limit.annotation),
            name(limit.variable),
            write(limit.default),
            write(limit.least),
        ];
        assert_eq!(row[1..5], shown);
    }
}
