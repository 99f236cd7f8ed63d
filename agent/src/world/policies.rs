//! The policies that are in force, why others are not, and whom each is about.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use remora_policy::{
    Closed, Inserted, Labels, Policy, PolicyError, PolicyKind, PolicyName, PolicySet, Reading,
    RefusedPolicy, Selector,
};

use super::object::{ObjectVersion, PolicyObject, policy_key};
use super::served::{self, Served};
use crate::notice::{Notice, Severity};

type Key = (PolicyKind, PolicyName);

/// All policies, and refused ones that stand for what cannot be read at all.
#[derive(Debug, Default)]
pub(super) struct Policies {
    set: PolicySet,
    known: BTreeMap<Key, Known>,
    /// How the API server serves each kind; a directory serves all of them whole.
    served: BTreeMap<PolicyKind, Served>,
    /// Kinds that are back, and have not been listed since.
    returned: BTreeSet<PolicyKind>,
    /// The stand-ins that are in the set.
    standing: BTreeMap<PolicyName, RefusedPolicy>,
    /// Whom the changes since the last settling are about.
    touched: Vec<Subject>,
    is_changed: bool,
}

/// A policy as it is known.
#[derive(Debug)]
struct Known {
    object: PolicyObject,
    /// Its new version was not taken, because it may be cut short.
    is_pinned: bool,
    outcome: Inserted,
    errors: Vec<PolicyError>,
    warnings: Vec<String>,
    /// Whom what is in force of it is about.
    subjects: Vec<Subject>,
}

/// Endpoints that a policy is about.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    Selected(Selector),
    Closed(Closed),
}

/// What became of a policy, for its status.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyState {
    /// Its kind.
    pub kind: PolicyKind,
    /// Its name.
    pub name: PolicyName,
    /// Which version of it this is about; none if it came from a file.
    pub version: Option<ObjectVersion>,
    /// Whether it is in force.
    pub outcome: Inserted,
    /// Everything that is wrong with it.
    pub errors: Vec<PolicyError>,
    /// What its author should know besides.
    pub warnings: Vec<String>,
    /// How many pods with a sidecar what is in force of it is about.
    pub selected: usize,
}

impl Subject {
    pub(super) fn covers(&self, labels: &Labels) -> bool {
        match self {
            Self::Selected(selector) => selector.matches(labels),
            Self::Closed(closed) => closed.covers(labels),
        }
    }
}

impl Policies {
    pub(super) fn set(&self) -> &PolicySet {
        &self.set
    }

    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whom the changes since this was last asked are about.
    pub(super) fn take_touched(&mut self) -> Vec<Subject> {
        self.is_changed = false;
        mem::take(&mut self.touched)
    }

    /// The API server serves this kind so from now on.
    pub(super) fn serve(&mut self, kind: PolicyKind, served: Served) {
        let before = self.served.insert(kind, served);
        self.is_changed |= before != Some(served);
        if before == Some(Served::Gone) {
            self.returned.insert(kind);
        }
    }

    /// Puts a policy in the place of its last version.
    pub(super) fn put(&mut self, object: PolicyObject) {
        let (kind, name) = policy_key(&object.reading);
        let key = (kind, name.clone());
        let served = self.served.get(&kind).copied().unwrap_or_default();
        let good = self.good(&key);
        let is_pinned = served::is_pinned(served, &object.reading, good);
        if let Some(known) = self.known.get_mut(&key)
            && (&known.object.reading, known.is_pinned) == (&object.reading, is_pinned)
        {
            self.is_changed |= known.object != object;
            known.object = object;
            return;
        }
        let reading = match is_pinned {
            true => served::cut_short(&object.reading, kind),
            false => object.reading.clone(),
        };
        self.insert(key, object, reading, is_pinned);
    }

    fn insert(&mut self, key: Key, object: PolicyObject, reading: Reading, is_pinned: bool) {
        let (errors, warnings, now) = match &reading {
            Reading::Accepted(policy) => (Vec::new(), &policy.warnings, subjects(policy)),
            Reading::Refused(refused) => {
                (refused.errors.clone(), &refused.warnings, closes(refused))
            }
        };
        let warnings = warnings.clone();
        let before = self.known.remove(&key).map(|known| known.subjects).unwrap_or_default();
        let outcome = self.set.insert(reading);
        self.is_changed = true;
        let subjects = if outcome == Inserted::KeptLastGood {
            before
        } else {
            self.touched.extend(before);
            self.touched.extend(now.iter().cloned());
            now
        };
        let known = Known { object, is_pinned, outcome, errors, warnings, subjects };
        self.known.insert(key, known);
    }

    pub(super) fn remove(&mut self, kind: PolicyKind, name: &PolicyName) {
        if let Some(known) = self.known.remove(&(kind, name.clone())) {
            self.touched.extend(known.subjects);
            self.set.remove(kind, name);
            self.is_changed = true;
        }
    }

    /// Makes these all policies of a kind. Tells what went with a kind that came back.
    pub(super) fn replace(
        &mut self,
        kind: PolicyKind,
        objects: Vec<PolicyObject>,
    ) -> Option<Notice> {
        let named: BTreeSet<&PolicyName> =
            objects.iter().map(|object| policy_key(&object.reading).1).collect();
        let gone: Vec<PolicyName> = self
            .known
            .keys()
            .filter(|(known, name)| *known == kind && !named.contains(name))
            .map(|(_, name)| name.clone())
            .collect();
        gone.iter().for_each(|name| self.remove(kind, name));
        objects.into_iter().for_each(|object| self.put(object));
        let is_loss = self.returned.remove(&kind) && !gone.is_empty();
        is_loss.then(|| {
            let text = format!(
                "{kind}: its definition is back: {} policies that it held before are withdrawn",
                gone.len()
            );
            Notice::new(Severity::Error, 0, text)
        })
    }

    /// Makes these refused policies stand for what cannot be read, and no others.
    pub(super) fn stand(&mut self, wanted: Vec<RefusedPolicy>) {
        let wanted: BTreeMap<PolicyName, RefusedPolicy> =
            wanted.into_iter().map(|refused| (refused.name.clone(), refused)).collect();
        let before = mem::take(&mut self.standing);
        for (name, refused) in before.iter().filter(|(name, own)| wanted.get(*name) != Some(*own)) {
            self.set.remove(refused.kind, name);
            self.touched.extend(closes(refused));
        }
        for (_, refused) in wanted.iter().filter(|(name, own)| before.get(*name) != Some(*own)) {
            self.touched.extend(closes(refused));
            self.set.insert(Reading::Refused(refused.clone()));
        }
        self.standing = wanted;
    }

    /// How many policies of a kind are known.
    pub(super) fn count(&self, kind: PolicyKind) -> usize {
        self.known.keys().filter(|(known, _)| *known == kind).count()
    }

    /// What became of each, given the endpoints that there are and how many of each.
    pub(super) fn states<'a>(
        &self,
        endpoints: &(impl Iterator<Item = (&'a Labels, usize)> + Clone),
    ) -> Vec<PolicyState> {
        let state = |((kind, name), known): (&Key, &Known)| {
            let is_about = |labels: &Labels| known.subjects.iter().any(|own| own.covers(labels));
            let about = endpoints.clone().filter(|(labels, _)| is_about(labels));
            PolicyState {
                kind: *kind,
                name: name.clone(),
                version: known.object.version.clone(),
                outcome: known.outcome,
                errors: known.errors.clone(),
                warnings: known.warnings.clone(),
                selected: about.map(|(_, count)| count).sum(),
            }
        };
        self.known.iter().map(state).collect()
    }

    /// What is wrong with policies now, and how kinds are served that are not served whole.
    pub(super) fn notices(&self, notices: &mut Vec<Notice>) {
        for ((kind, name), known) in &self.known {
            tell(&format!("{kind} {name}"), known, notices);
        }
        for (kind, served) in &self.served {
            notices.extend(served.notice(*kind, self.count(*kind)));
        }
    }

    fn good(&self, (kind, name): &Key) -> Option<&Policy> {
        let is_it = |policy: &&Policy| policy.kind == *kind && policy.name == *name;
        self.set.in_force().find(is_it)
    }
}

/// What a refused policy does with what it selects.
pub(crate) fn consequence(outcome: Inserted) -> &'static str {
    match outcome {
        Inserted::InForce | Inserted::KeptLastGood => "its last good version stays in force",
        Inserted::Closed => "what it selects is CLOSED until it is mended or removed",
    }
}

fn tell(title: &str, known: &Known, notices: &mut Vec<Notice>) {
    let revision = known.object.revision;
    let consequence = consequence(known.outcome);
    for error in &known.errors {
        // What came from no file has no line to name.
        let text = match error.line {
            0 => {
                format!("{title}: {}: {}: it is refused: {consequence}", error.field, error.message)
            }
            _ => format!("{error}: {title} is refused: {consequence}"),
        };
        notices.push(Notice::new(Severity::Error, revision, text));
    }
    let warning = |text: &String| Notice::new(Severity::Warning, revision, unplaced(title, text));
    notices.extend(known.warnings.iter().map(warning));
}

/// A warning with its policy's title in place of a place that it has not.
fn unplaced(title: &str, warning: &str) -> String {
    match warning.strip_prefix("-:0: ") {
        Some(rest) => format!("{title}: {rest}"),
        None => warning.to_owned(),
    }
}

fn subjects(policy: &Policy) -> Vec<Subject> {
    policy.rules.iter().map(|rule| Subject::Selected(rule.subject.clone())).collect()
}

fn closes(refused: &RefusedPolicy) -> Vec<Subject> {
    refused.closes.iter().cloned().map(Subject::Closed).collect()
}
