//! What the watches are having trouble with, for the log, `/readyz` and the
//! words with which a start is given up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::notice::one_line;

/// The last error of each watch that does not work.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<BTreeMap<String, String>>);

impl Troubles {
    /// A watch does not work. Told in the log when it is news.
    pub(super) fn tell(&self, what: &str, error: &kube::runtime::watcher::Error) {
        let text = one_line(&cause(error));
        let before = self.lock().insert(what.to_owned(), text.clone());
        if before.as_ref() != Some(&text) {
            tracing::error!("watching {what}: {text}; what is known of it stays in force");
        }
    }

    /// A watch works.
    pub(super) fn over(&self, what: &str) {
        if self.lock().remove(what).is_some() {
            tracing::info!("watching {what}: it works again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `WHAT, WHAT: WHY` for each cause, on one line.
impl fmt::Display for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubles = self.lock();
        let mut causes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (what, why) in troubles.iter() {
            causes.entry(why).or_default().push(what);
        }
        let all = causes.iter().map(|(why, whats)| format!("{}: {why}", whats.join(", ")));
        f.write_str(&all.collect::<Vec<_>>().join("; "))
    }
}

/// The error with the remedy, where there is one to give.
fn cause(error: &kube::runtime::watcher::Error) -> String {
    use kube::runtime::watcher::Error;
    let status = match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => status,
            other => return chain(other),
        },
        Error::WatchError(status) => status,
        Error::NoResourceVersion => return error.to_string(),
    };
    let remedy = match status.code {
        401 => "; see that its service account's token counts at this API server",
        403 => "; apply deploy/rbac.yaml, which allows the agent what it needs",
        _ => "",
    };
    format!("{} ({}){remedy}", status.message, status.code)
}

/// An error and everything that it came from.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
