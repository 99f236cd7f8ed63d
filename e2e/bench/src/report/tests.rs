//! What is written, from results that were made up.

use super::*;
use crate::{
    machine::Machine,
    results::{Better, Participant},
};

fn results() -> Results {
    let partner = |name: &str, missing: Option<&str>| Participant {
        name: name.to_owned(),
        title: format!("{name} <title>"),
        mode: "sidecar",
        version: "1".to_owned(),
        missing: missing.map(str::to_owned),
    };
    let partners =
        vec![partner(DIRECT, None), partner("remora-l7", None), partner("gone", Some("not built"))];
    // Whatever else the machine that runs the test is busy with.
    let machine = Machine { busy_before: 0.0, ..Machine::look().expect("a machine") };
    let mut results = Results::new(true, machine, partners);
    let rate = Figure::new("get.rate", "get", "/s", Better::More);
    let idle = Figure::new("footprint.idle", "idle", "KiB", Better::Less);
    let p50 = Figure::new("propagation-1.p50", "p50", "ms", Better::Less);
    for (round, scale) in [1.0, 3.0, 2.0].into_iter().enumerate() {
        results.record(&rate, DIRECT, round, 40_000.0 * scale);
        results.record(&rate, "remora-l7", round, 20_000.0 * scale);
    }
    results.record(&idle, "remora-l7", 0, 5_123.4);
    results.record(&p50, "remora-agent", 0, 1.25);
    results.failures.push("remora-l7, set: it broke & stayed so".to_owned());
    results
}

#[test]
fn numbers_have_the_digits_that_mean_something() {
    let shown = [1_234_567.0, 1000.0, 999.4, 12.34, 0.456, -2500.0].map(number);
    assert_eq!(shown, ["1,234,567", "1,000", "999", "12.3", "0.46", "-2,500"]);
    assert_eq!([with_unit(2000.0, "/s"), with_unit(12.0, "µs")], ["2,000/s", "12.0 µs"]);
}

#[test]
fn the_page_is_filled_between_its_markers() {
    let page = "# Title\n<!-- measured: what `cargo xtask bench --docs` writes -->\nold\n\
                <!-- measured: end -->\nrest\n";
    let filled = markdown::fill(page, &results()).expect("filled");
    assert!(filled.starts_with("# Title\n") && filled.ends_with("<!-- measured: end -->\nrest\n"));
    assert!(!filled.contains("old"), "{filled}");
    assert!(filled.contains("| get, /s | 80,000 | 40,000 (0.50) |"), "{filled}");
    assert!(filled.contains("| idle, KiB | 5,123 |"), "{filled}");
    assert!(filled.contains("| | remora-agent |"), "{filled}");
    assert!(filled.contains("gone <title> took no part: not built"), "{filled}");
    assert_eq!(markdown::fill(&filled, &results()).expect("filled again"), filled);
    assert!(markdown::fill("# Title\n", &results()).is_err());
}

#[test]
fn the_committed_page_can_be_filled() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sidecar-vs-node.md");
    let page = fs::read_to_string(page).expect("docs/sidecar-vs-node.md");
    markdown::fill(&page, &results()).expect("its markers are there");
}

#[test]
fn the_report_names_who_is_missing_and_what_failed() {
    let html = html::page(&results());
    for part in
        ["missing: not built", "it broke &amp; stayed so", "remora-l7 &lt;title&gt;", "<svg"]
    {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<script") && !html.contains("src="), "it stands alone");
}

/// Every element is closed, and bars of the same scale have lengths to scale.
#[test]
fn charts_are_drawn_to_scale() {
    let results = results();
    let svg = svg::stack(&[chart(&results, &results.figures[0])]);
    for element in ["svg", "text", "tspan"] {
        let count = |tag: &str| svg.matches(tag).count();
        let opened = count(&format!("<{element} "));
        assert_eq!(opened, count(&format!("</{element}>")), "{element}: {svg}");
    }
    let lengths: Vec<f64> = svg
        .split("width=\"")
        .skip(2)
        .map(|rest| rest.split('"').next().expect("a quote").parse().expect("a number"))
        .collect();
    assert_eq!(lengths.len(), 2, "{svg}");
    assert!((lengths[0] / lengths[1] - 2.0).abs() < 0.01, "{lengths:?}");
}
