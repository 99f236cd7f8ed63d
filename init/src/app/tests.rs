//! All or nothing, over tables that fail on demand.

use std::cell::RefCell;
use std::collections::BTreeMap;

use clap::Parser as _;

use super::{Outcome, Pod, Tables};
use crate::{Args, Cause, Family, InitError, State, TableError};

/// Tables that keep what `iptables -S` would print for each.
struct Fake {
    family: Family,
    tables: RefCell<BTreeMap<String, Vec<String>>>,
    look: Option<Cause>,
    /// Why changes are refused, from this table on.
    restore: Option<(&'static str, Cause)>,
    /// Says yes to every change and makes none.
    is_deaf: bool,
}

impl Fake {
    fn new(family: Family) -> Self {
        let tables = RefCell::default();
        Self { family, tables, look: None, restore: None, is_deaf: false }
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

    fn state(&self) -> State {
        let tables = self.tables.borrow();
        let [nat, mangle] =
            ["nat", "mangle"].map(|name| tables.get(name).map(|rules| rules.join("\n")));
        State::parse(&nat.unwrap_or_default(), &mangle.unwrap_or_default())
    }
}

impl Tables for Fake {
    fn family(&self) -> Family {
        self.family
    }

    fn look(&self) -> Result<State, TableError> {
        self.fail(self.look)?;
        Ok(self.state())
    }

    fn restore(&self, text: &str) -> Result<(), TableError> {
        let mut tables = self.tables.borrow_mut();
        let mut table = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                name.clone_into(&mut table);
                let refused = self.restore.filter(|(from, _)| *from == name);
                self.fail(refused.map(|(_, cause)| cause))?;
            } else if !self.is_deaf {
                change(tables.entry(table.clone()).or_default(), line);
            }
        }
        Ok(())
    }
}

/// Does what one line of a restore says.
fn change(rules: &mut Vec<String>, line: &str) {
    if let Some(chain) = line.strip_prefix(':') {
        let chain = chain.split(' ').next().expect("a name");
        rules.retain(|rule| !rule.starts_with(&format!("-A {chain} ")));
        rules.retain(|rule| *rule != format!("-N {chain}"));
        rules.push(format!("-N {chain}"));
    } else if let Some(rule) = line.strip_prefix("-I ") {
        rules.insert(0, format!("-A {}", rule.replacen(" 1 ", " ", 1)));
    } else if let Some(rule) = line.strip_prefix("-D ") {
        let at = rules.iter().position(|found| *found == format!("-A {rule}"));
        rules.remove(at.expect("a rule to delete"));
    } else if let Some(chain) = line.strip_prefix("-F ") {
        rules.retain(|rule| !rule.starts_with(&format!("-A {chain} ")));
    } else if let Some(chain) = line.strip_prefix("-X ") {
        rules.retain(|rule| *rule != format!("-N {chain}"));
    } else if line != "COMMIT" {
        rules.push(line.to_owned());
    }
}

fn pod() -> Pod<Fake> {
    Pod { families: [Fake::new(Family::V4), Fake::new(Family::V6)], has_ipv6: true }
}

fn run(pod: &Pod<Fake>, line: &[&str]) -> Result<Outcome, InitError> {
    let line = ["remora-init"].iter().chain(line);
    pod.run(&Args::try_parse_from(line).expect("valid"))
}

/// Where a family can fail.
const AT: [&str; 3] = ["look", "nat", "mangle"];

fn fail_at(table: &mut Fake, at: &'static str, cause: Cause) {
    if at == "look" {
        table.look = Some(cause);
    } else {
        table.restore = Some((at, cause));
    }
}

fn is_clean(table: &Fake) -> bool {
    table.state().is_clean()
}

#[test]
fn both_families_are_programmed_again_and_cleaned() {
    let pod = pod();
    run(&pod, &[]).expect("programmed");
    let once = pod.families.each_ref().map(|table| table.tables.borrow().clone());
    assert!(!is_clean(&pod.families[0]) && !is_clean(&pod.families[1]));
    run(&pod, &[]).expect("programmed again");
    assert_eq!(pod.families.each_ref().map(|table| table.tables.borrow().clone()), once);
    run(&pod, &["cleanup"]).expect("cleaned");
    assert!(is_clean(&pod.families[0]) && is_clean(&pod.families[1]));
    let notes = run(&pod, &["cleanup"]).expect("cleaned again").notes;
    assert_eq!(notes, ["IPv4: nothing to clean", "IPv6: nothing to clean"]);
}

#[test]
fn a_family_that_fails_fails_everything() {
    for failing in 0..2 {
        for cause in [Cause::MissingBinary, Cause::NotPermitted, Cause::Refused] {
            for at in AT {
                let mut pod = pod();
                pod.has_ipv6 = false;
                fail_at(&mut pod.families[failing], at, cause);
                let error = run(&pod, &[]).expect_err("a family fails");
                assert_eq!(error.cause.cause, cause);
                assert!(pod.families.iter().all(is_clean));
            }
        }
    }
}

#[test]
fn only_ipv6_without_address_and_nat_is_excused() {
    let without = |failing: usize, has_ipv6: bool, at: &'static str| {
        let mut pod = pod();
        pod.has_ipv6 = has_ipv6;
        fail_at(&mut pod.families[failing], at, Cause::NoKernelSupport);
        let outcome = run(&pod, &[]);
        assert!(is_clean(&pod.families[failing]));
        outcome
    };
    for at in AT {
        let notes = without(1, false, at).expect("excused").notes.join("\n");
        assert!(notes.contains("IPv6: not redirected: the pod has no IPv6 address"), "{notes}");
        assert!(
            notes.contains("IPv4: TCP that comes in goes to port 16006, that goes out to 16001"),
            "{notes}"
        );
        assert!(without(1, true, at).is_err());
        assert!(without(0, false, at).is_err());
    }
}

#[test]
fn what_an_earlier_run_redirected_stays_redirected() {
    let mut pod = pod();
    run(&pod, &[]).expect("programmed");
    pod.families[1].restore = Some(("nat", Cause::Refused));
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
    let output = run(&pod, &["--dry-run", "--skip-inbound-ports", "22"]).expect("printed").output;
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
    pod.families[0].restore = Some(("nat", Cause::Refused));
    assert!(run(&pod, &["cleanup"]).is_err());
    assert!(is_clean(&pod.families[1]));
}

#[test]
fn verifying_changes_nothing_and_says_all_that_is_wrong() {
    let pod = pod();
    let error = run(&pod, &["verify"]).expect_err("nothing is there").to_string();
    let lacking = "OUTPUT does not go to REMORA_OUTBOUND first, and once; ";
    for family in ["IPv4: iptables: ", "IPv6: ip6tables: "] {
        assert!(error.contains(&format!("{family}the rules are not in force: ")), "{error}");
    }
    assert!(error.matches(lacking).count() == 4, "{error}");
    assert!(pod.families.iter().all(is_clean));

    run(&pod, &["--skip-outbound-ports", "5432"]).expect("programmed");
    let notes = run(&pod, &["verify", "--skip-outbound-ports", "5432"]).expect("in force").notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let error = run(&pod, &["verify"]).expect_err("another redirection");
    assert_eq!(error.cause.cause, Cause::NotInForce);
    let ours = "has -A REMORA_OUTBOUND -p tcp --dport 5432 -j RETURN, which is not ours";
    assert_eq!(error.to_string().matches(ours).count(), 2, "{error}");
}
