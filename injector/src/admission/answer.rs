//! The answer to a review, and what else is to be told of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Verdict;
use super::choice::{Fate, Mode};
use super::owner::{Owner, Story};
use super::patch::diff;
use super::reason::{Outcome, Reason};
use super::request::Request;
use crate::InjectError;

/// The longest sentence that is sent, in bytes: Events take no more than 1024.
const MAX_NOTE_BYTES: usize = 1000;

/// What is answered, counted and told.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The AdmissionReview that goes back.
    pub review: Value,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// What to tell whoever made the pod; none for a dry run, which leaves nothing behind.
    pub story: Option<Story>,
}

impl Answer {
    pub(super) fn allowed(request: &Request, verdict: Verdict) -> Self {
        let Verdict { fate, pod, warnings } = verdict;
        let (outcome, reason, note) = match fate {
            Fate::Inject => (
                Outcome::Injected,
                Reason::None,
                "its pods have Remora, which judges what reaches them".to_owned(),
            ),
            Fate::Skip(skip) => (
                Outcome::Skipped,
                Reason::Skip(skip),
                format!("this pod runs without Remora, because {}", skip.because()),
            ),
        };
        let operations = diff(&request.pod, &pod);
        let mut response = response(request, true);
        if !operations.is_empty() {
            let patch = Value::from(operations).to_string();
            response.insert("patchType".to_owned(), "JSONPatch".into());
            response.insert("patch".to_owned(), STANDARD.encode(patch).into());
        }
        if !warnings.is_empty() {
            let warnings: Vec<_> = warnings.into_iter().map(|text| shortened(&text)).collect();
            response.insert("warnings".to_owned(), warnings.into());
        }
        Self::new(request, &response, (outcome, reason), &note)
    }

    pub(super) fn refused(request: &Request, mode: Mode, error: &InjectError) -> Self {
        let way_out = match mode {
            Mode::Enabled => "; or label the pod remora.dev/inject=disabled to run it without",
            Mode::Enforced => "",
        };
        let note = format!("Remora cannot be put into this pod: {error}{way_out}");
        let mut response = response(request, false);
        let status = json!({
            "status": "Failure", "reason": "Forbidden", "code": 403, "message": shortened(&note),
        });
        response.insert("status".to_owned(), status);
        Self::new(request, &response, (Outcome::Refused, Reason::of(error)), &note)
    }

    fn new(
        request: &Request,
        response: &Map<String, Value>,
        (outcome, reason): (Outcome, Reason),
        note: &str,
    ) -> Self {
        let owner = Owner::of(&request.pod, &request.namespace).filter(|_| !request.is_dry_run);
        let story = owner.map(|owner| Story::new(owner, outcome, reason, shortened(note)));
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
        });
        Self { review, outcome, reason, story }
    }
}

fn response(request: &Request, is_allowed: bool) -> Map<String, Value> {
    let uid = ("uid".to_owned(), Value::from(request.uid.as_str()));
    Map::from_iter([uid, ("allowed".to_owned(), is_allowed.into())])
}

/// One line of bounded length: parts of it are the pod's own words.
fn shortened(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= MAX_NOTE_BYTES {
            line.push('…');
            break;
        }
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}
