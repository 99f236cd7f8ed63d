//! All or nothing, over tables that fail on demand.

use std::cell::RefCell;

use clap::Parser as _;

use super::{Outcome, Pod, Tables};
use crate::{Args, Cause, Family, InitError, State, TableError};

/// A table that keeps what `iptables -S` would print.
struct Fake {
    family: Family,
    rules: RefCell<Vec<String>>,
    look: Option<Cause>,
    restore: Option<Cause>,
    /// Says yes to every change and makes none.
    is_deaf: bool,
}

impl Fake {
    fn new(family: Family) -> Self {
        Self { family, rules: RefCell::default(), look: None, restore: None, is_deaf: false }
    }

    fn fail(&self, cause: Option<Cause>) -> Result<(), TableError> {
        let error = |cause| TableError {
            family: self.family,
            command: "fake",
            cause,
            detail: "failed".to_owned(),
        };
        cause.map_or(Ok(()), |cause| Err(error(cause)))
    }
}

impl Tables for Fake {
    fn family(&self) -> Family {
        self.family
    }

    fn look(&self) -> Result<State, TableError> {
        self.fail(self.look)?;
        Ok(State::parse(&self.rules.borrow().join("\n")))
    }

    fn restore(&self, text: &str) -> Result<(), TableError> {
        self.fail(self.restore)?;
        let mut rules = self.rules.borrow_mut();
        for line in text.lines().filter(|_| !self.is_deaf) {
            match line.split_once(' ') {
                Some((":REMORA_INBOUND", _) | ("-F", _)) => {
                    rules.retain(|rule| !rule.starts_with("-A REMORA_INBOUND"));
                    rules.retain(|rule| !rule.starts_with("-N"));
                    rules.push("-N REMORA_INBOUND".to_owned());
                }
                Some(("-I", _)) => {
                    rules.insert(0, line.replace("-I PREROUTING 1", "-A PREROUTING"));
                }
                Some(("-D", rest)) => {
                    let at = rules.iter().position(|rule| *rule == format!("-A {rest}"));
                    rules.remove(at.expect("a rule to delete"));
                }
                Some(("-X", _)) => rules.retain(|rule| !rule.starts_with("-N")),
                Some(("-A", _)) => rules.push(line.to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn pod() -> Pod<Fake> {
    Pod { families: [Fake::new(Family::V4), Fake::new(Family::V6)], has_ipv6: true }
}

fn run(pod: &Pod<Fake>, line: &[&str]) -> Result<Outcome, InitError> {
    let line = ["remora-init"].iter().chain(line);
    pod.run(&Args::try_parse_from(line).expect("valid"))
}

fn is_clean(table: &Fake) -> bool {
    State::parse(&table.rules.borrow().join("\n")).is_clean()
}

#[test]
fn both_families_are_programmed_again_and_cleaned() {
    let pod = pod();
    run(&pod, &[]).expect("programmed");
    let once = pod.families.each_ref().map(|table| table.rules.borrow().clone());
    assert!(!is_clean(&pod.families[0]) && !is_clean(&pod.families[1]));
    run(&pod, &[]).expect("programmed again");
    assert_eq!(pod.families.each_ref().map(|table| table.rules.borrow().clone()), once);
    run(&pod, &["cleanup"]).expect("cleaned");
    assert!(is_clean(&pod.families[0]) && is_clean(&pod.families[1]));
    let notes = run(&pod, &["cleanup"]).expect("cleaned again").notes;
    assert_eq!(notes, ["IPv4: nothing to clean", "IPv6: nothing to clean"]);
}

#[test]
fn a_family_that_fails_fails_everything() {
    for failing in 0..2 {
        for cause in [Cause::MissingBinary, Cause::NotPermitted, Cause::Refused] {
            for at_look in [true, false] {
                let mut pod = pod();
                pod.has_ipv6 = false;
                let table = &mut pod.families[failing];
                *(if at_look { &mut table.look } else { &mut table.restore }) = Some(cause);
                let error = run(&pod, &[]).expect_err("a family fails");
                assert_eq!(error.cause.cause, cause);
                assert!(pod.families.iter().all(is_clean));
            }
        }
    }
}

#[test]
fn only_ipv6_without_address_and_nat_is_excused() {
    let without = |failing: usize, has_ipv6: bool, at_look: bool| {
        let mut pod = pod();
        pod.has_ipv6 = has_ipv6;
        let table = &mut pod.families[failing];
        *(if at_look { &mut table.look } else { &mut table.restore }) =
            Some(Cause::NoKernelSupport);
        run(&pod, &[])
    };
    for at_look in [true, false] {
        let notes = without(1, false, at_look).expect("excused").notes.join("\n");
        assert!(notes.contains("IPv6: not redirected: the pod has no IPv6 address"), "{notes}");
        assert!(notes.contains("IPv4: inbound TCP goes to port 16006"), "{notes}");
        assert!(without(1, true, at_look).is_err());
        assert!(without(0, false, at_look).is_err());
    }
}

#[test]
fn what_an_earlier_run_redirected_stays_redirected() {
    let mut pod = pod();
    run(&pod, &[]).expect("programmed");
    pod.families[1].restore = Some(Cause::Refused);
    let error = run(&pod, &[]).expect_err("IPv6 fails").to_string();
    assert!(error.ends_with("\nIPv4: left redirected, as it was before"), "{error}");
    assert!(!is_clean(&pod.families[0]));
}

#[test]
fn a_change_that_is_not_in_force_is_a_failure() {
    let mut pod = pod();
    pod.families[1].is_deaf = true;
    let error = run(&pod, &[]).expect_err("nothing happened");
    assert_eq!(error.cause.cause, Cause::NotInForce);
    assert!(error.to_string().contains("IPv4: taken back"), "{error}");
    assert!(is_clean(&pod.families[0]));
}

#[test]
fn a_dry_run_prints_and_changes_nothing() {
    let pod = pod();
    let output = run(&pod, &["--dry-run", "--exclude-port", "22"]).expect("printed").output;
    for part in ["# IPv4\n*nat\n", "# IPv6\n*nat\n", "--dport 22 -j RETURN", "COMMIT\n"] {
        assert!(output.contains(part), "{output}");
    }
    assert!(pod.families.iter().all(is_clean));
    run(&pod, &[]).expect("programmed");
    let output = run(&pod, &["cleanup", "--dry-run"]).expect("printed").output;
    assert!(output.contains("-X REMORA_INBOUND"), "{output}");
    assert!(!pod.families.iter().any(is_clean));
}

#[test]
fn cleaning_goes_on_after_a_failure() {
    let mut pod = pod();
    run(&pod, &[]).expect("programmed");
    pod.families[0].restore = Some(Cause::Refused);
    assert!(run(&pod, &["cleanup"]).is_err());
    assert!(is_clean(&pod.families[1]));
}
