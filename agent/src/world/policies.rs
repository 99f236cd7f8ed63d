//! Putting what was read into the set of policies in force, and saying so.

use std::collections::BTreeSet;

use remora_policy::{
    Closed, Inserted, PolicyError, PolicyKind, PolicyName, PolicySet, Reading, RefusedPolicy,
};

use super::object::policy_key;
use crate::directory::Unreadable;
use crate::notice::{Notice, Severity};

/// Makes `set` hold these policies and no others. Files that cannot be read
/// stand among them as refused policies that close what they may mean.
pub(super) fn take(
    set: &mut PolicySet,
    readings: Vec<(u64, Reading)>,
    unreadable: &[Unreadable],
    notices: &mut Vec<Notice>,
) {
    let closing: Vec<_> = unreadable.iter().filter_map(stand_in).collect();
    retain(set, readings.iter().map(|(_, reading)| reading).chain(&closing));
    for (revision, reading) in readings {
        insert(set, reading, revision, notices);
    }
    for reading in closing {
        // What is wrong with the file has been told by whoever read it.
        set.insert(reading);
    }
}

fn retain<'a>(set: &mut PolicySet, readings: impl Iterator<Item = &'a Reading>) {
    let named: BTreeSet<(PolicyKind, &PolicyName)> = readings.map(policy_key).collect();
    let gone: Vec<_> = set
        .names()
        .filter(|known| !named.contains(known))
        .map(|(kind, name)| (kind, name.clone()))
        .collect();
    for (kind, name) in gone {
        set.remove(kind, &name);
    }
}

fn insert(set: &mut PolicySet, reading: Reading, revision: u64, notices: &mut Vec<Notice>) {
    let (kind, name) = policy_key(&reading);
    let title = format!("{kind} {name}");
    let (errors, warnings) = match &reading {
        Reading::Accepted(policy) => (Vec::new(), policy.warnings.clone()),
        Reading::Refused(refused) => (refused.errors.clone(), refused.warnings.clone()),
    };
    let consequence = match set.insert(reading) {
        Inserted::InForce | Inserted::KeptLastGood => "its last good version stays in force",
        Inserted::Closed => "what it selects is CLOSED until it is mended or removed",
    };
    let refusal = |error: PolicyError| {
        let text = format!("{error}: {title} is refused: {consequence}");
        Notice::new(Severity::Error, revision, text)
    };
    let warning = |text| Notice::new(Severity::Warning, revision, text);
    notices.extend(errors.into_iter().map(refusal));
    notices.extend(warnings.into_iter().map(warning));
}

/// The refused policy that stands for a file which may hold one.
fn stand_in(unreadable: &Unreadable) -> Option<Reading> {
    let closed = |namespace| Closed { namespace, selector: None, ingress: true, egress: true };
    let closes: Vec<_> = unreadable.scope.closed().into_iter().map(closed).collect();
    if closes.is_empty() {
        return None;
    }
    let file = unreadable.file.display().to_string();
    let error = PolicyError {
        file: Some(file.clone()),
        line: unreadable.line,
        field: "document".to_owned(),
        message: unreadable.error.clone(),
    };
    Some(Reading::Refused(RefusedPolicy {
        name: PolicyName { namespace: None, name: format!("unreadable file {file}") },
        kind: PolicyKind::ClusterL7Policy,
        closes,
        errors: vec![error],
        warnings: Vec::new(),
    }))
}
