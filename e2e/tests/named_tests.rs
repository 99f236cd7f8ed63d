//! Holds the tables of the docs to the tests that they name.

use std::{collections::BTreeMap, fs, path::Path};

const THREATS: &str = "docs/threats.md";
/// Its last table has what is decided about policies, from 1 to 10.
const POLICY: &str = "docs/policy.md";

/// Threats that must have a test by now.
const REQUIRED: [&str; 46] = [
    "8", "9", "10", "11", "12", "13", "14", "30", "31", "32", "33", "34", "35", "36", "37", "38",
    "89", "90", "91", "92", "95", "96", "99", "101", "102", "104", "105", "106", "107", "108",
    "109", "110", "111", "112", "113", "114", "115", "116", "117", "118", "119", "120", "121",
    "122", "123", "124",
];

#[test]
fn every_named_test_exists() {
    let named = [THREATS, POLICY].into_iter().flat_map(|page| {
        let rows = rows(page).into_iter();
        rows.flat_map(move |(row, tests)| {
            tests.into_iter().map(move |test| (page, row.clone(), test))
        })
    });
    let wrong: Vec<_> = named
        .filter_map(|(page, row, test)| {
            find(&test).err().map(|why| format!("{page}, row {row}: {test}: {why}"))
        })
        .collect();
    assert!(wrong.is_empty(), "tests are named that do not exist: {wrong:#?}");
}

#[test]
fn every_required_row_has_a_test() {
    let bare = |page, required: &[String]| {
        let rows = rows(page);
        let is_bare = |row: &&String| rows.get(*row).is_none_or(Vec::is_empty);
        required.iter().filter(is_bare).map(|row| format!("{page}: {row}")).collect::<Vec<_>>()
    };
    let threats = bare(THREATS, &REQUIRED.map(str::to_owned));
    let decided: Vec<_> = (1..=10).map(|row: u32| row.to_string()).collect();
    assert_eq!([threats, bare(POLICY, &decided)].concat(), [""; 0], "rows without a test");
}

#[test]
fn a_function_without_the_attribute_is_no_test() {
    let text = "#[test]\n/// Words.\nfn a_test() {}\n\n// #[test]\nfn no_test() {}\n\
                proptest! {\n    #[test]\n    fn a_property(x in 0..9u8) {}\n}\n\
                #[tokio::test(flavor = \"current_thread\")]\nasync fn a_task() {}\n";
    for name in ["a_test", "a_property", "a_task"] {
        assert!(is_test(text, name), "{name}");
    }
    for name in ["no_test", "a_tes", "absent"] {
        assert!(!is_test(text, name), "{name}");
    }
}

/// The rows of a page's tables: number, and the tests named in the last column.
fn rows(page: &str) -> BTreeMap<String, Vec<String>> {
    let text =
        fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    text.lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix('|')?.trim_end_matches('|').split('|').collect();
            let number = cells.first()?.trim();
            number.parse::<u32>().ok()?;
            Some((number.to_owned(), tests_in(cells.last()?)))
        })
        .collect()
}

/// What stands between backquotes and looks like `FILE::FUNCTION`.
fn tests_in(cell: &str) -> Vec<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.contains(".rs::")).map(str::to_owned).collect()
}

fn find(test: &str) -> Result<(), String> {
    let (file, name) = test.split_once("::").ok_or("is not FILE::FUNCTION")?;
    let text = fs::read_to_string(root().join(file)).map_err(|error| error.to_string())?;
    if is_test(&text, name) { Ok(()) } else { Err("the file has no such test".to_owned()) }
}

/// Whether `text` has a function of that name with a test's attribute above it.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let declares = |line: &&str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    };
    lines.iter().enumerate().filter(|(_, line)| declares(line)).any(|(at, _)| {
        lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder")
}
