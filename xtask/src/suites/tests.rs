//! Reading cargo's output, and what is made of it.

use super::*;

const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/remora_parsers-0123456789abcdef)

running 2 tests
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/laws.rs (target/debug/deps/laws-0123456789abcdef)
test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s

     Running unittests src/main.rs (target/debug/deps/remora-0123456789abcdef)
     Running tests/demo.rs (target/debug/deps/demo-0123456789abcdef)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s
   Doc-tests remora_parsers
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s
";

fn watched(output: &str) -> Report {
    let mut watch = Watch { full: false, report: Report::default(), over: false };
    let mut now = Instant::now();
    for line in output.lines() {
        now += Duration::from_millis(100);
        watch.line(line, now);
    }
    watch.report.close(now);
    watch.report
}

#[test]
fn suites_are_named_by_package_and_file() {
    let report = watched(OUTPUT);
    let names: Vec<_> = report.suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "remora_parsers",
            "remora_parsers tests/laws.rs",
            "remora (src/main.rs)",
            "remora tests/demo.rs",
            "remora_parsers (examples)"
        ]
    );
}

#[test]
fn a_suite_without_a_result_has_died() {
    let report = watched(OUTPUT);
    let text = report.to_string();
    assert!(text.contains("died") && text.contains("remora (src/main.rs)"), "{text}");
    assert!(!report.passed());
}

#[test]
fn results_are_counted() {
    let text = watched(OUTPUT).to_string();
    assert!(text.contains("FAILED     0.3 s     3 passed, 1 failed  remora_parsers tests/laws.rs"));
    assert!(text.ends_with("6 tests passed, 1 failed"), "{text}");
    assert!(!text.contains("tests/demo.rs"), "a suite without tests is left out: {text}");
}

#[test]
fn nothing_run_is_nothing_passed() {
    let report = Report::default();
    assert!(!report.passed());
    assert!(report.to_string().contains("no test has such a name"));
}

#[test]
fn a_failure_outside_every_suite_is_told() {
    let mut report = watched("   Doc-tests remora_api\ntest result: ok. 1 passed; 0 failed;");
    report.cargo_failed = true;
    assert!(!report.passed());
    assert!(report.to_string().contains("its reason stands above"));
}

#[test]
fn a_late_suite_fails_the_run() {
    let mut report = watched("   Doc-tests remora_api\ntest result: ok. 1 passed; 0 failed;");
    assert!(report.passed());
    report.suites[0].late = true;
    assert!(!report.passed());
    assert!(report.to_string().contains("too slow"));
}

#[test]
fn tests_with_real_servers_get_more_time() {
    assert!(budget("remora_e2e tests/effects/main.rs", false) > budget("remora_api", false));
    assert!(budget("remora_api", true) > budget("remora_api", false));
}

#[test]
fn children_of_a_process_are_ended() {
    let mut parent = Command::new("sh").args(["-c", "sleep 600; exit 7"]).spawn().expect("sh");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        terminate_children(parent.id());
        if let Some(status) = parent.try_wait().expect("waiting") {
            assert_eq!(status.code(), Some(7), "only the child was ended");
            return;
        }
        assert!(Instant::now() < deadline, "the child lives on");
        thread::yield_now();
    }
}
