//! Who is to be served, and where each one's network is known to be.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use remora_api::endpoints::Endpoint;

use super::{
    FinderError, cgroup,
    folder::Folder,
    search::{Found, Search},
};

/// Pauses before a network is looked for again: it is there before its pod has
/// an address, but for an instant.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_LAST: Duration = Duration::from_secs(5);

/// The variables of a pod that matter here.
const NAMESPACE: &str = "REMORA_POD_NAMESPACE";
const NAME: &str = "REMORA_POD_NAME";
const ADDRESSES: &str = "REMORA_POD_IPS";

/// The pods, by their uids.
#[derive(Debug)]
pub(super) struct Book(BTreeMap<String, Known>);

/// One pod.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    variables: BTreeMap<String, String>,
    addresses: Vec<IpAddr>,
    found: Option<Found>,
    /// Whether its file may say something else.
    is_news: bool,
    /// When its network is looked for again, and how long then.
    due: Option<Instant>,
    pause: Duration,
}

impl Known {
    /// # Errors
    /// What is wrong with it.
    fn read(uid: &str, variables: BTreeMap<String, String>) -> Result<Self, String> {
        if !cgroup::is_uid(uid) {
            return Err(format!("{uid:?} is no uid of a pod"));
        }
        let ips = variables.get(ADDRESSES).map(String::as_str).unwrap_or_default();
        let addresses: Result<Vec<IpAddr>, _> = ips.split(',').map(str::parse).collect();
        let addresses = addresses.map_err(|_| format!("{ips:?} are no addresses"))?;
        let (pause, found, due) = (AGAIN_FIRST, None, None);
        Ok(Self { variables, addresses, found, is_news: true, due, pause })
    }

    fn name(&self) -> String {
        let text = |name| self.variables.get(name).map(String::as_str).unwrap_or_default();
        format!("{}/{}", text(NAMESPACE), text(NAME))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.found.is_none() && self.due.is_none_or(|due| due <= now)
    }

    /// It was looked for in vain.
    fn missed(&mut self, now: Instant) {
        if self.pause >= AGAIN_LAST && self.due.is_some() {
            tracing::warn!(
                pod = self.name(),
                "its network is not found, so it is closed; if that is so of all pods, the capability SYS_PTRACE or, in a pod, hostPID is missing"
            );
        }
        self.due = Some(now + self.pause);
        self.pause = self.pause.saturating_mul(2).min(AGAIN_LAST);
    }

    fn lost(&mut self) {
        tracing::info!(pod = self.name(), "its network is gone");
        (self.found, self.due, self.is_news) = (None, None, true);
    }

    fn found(&mut self, found: Found) {
        (self.found, self.due, self.is_news) = (Some(found), None, true);
        self.pause = AGAIN_FIRST;
    }
}

impl Book {
    /// What an earlier run has left: the variables of each pod.
    pub(super) fn new(earlier: Vec<(String, BTreeMap<String, String>)>) -> Self {
        let mut pods = BTreeMap::new();
        for (uid, variables) in earlier {
            if let Ok(known) = Known::read(&uid, variables) {
                pods.insert(uid, known);
            }
        }
        Self(pods)
    }

    /// Makes these the pods that there are. What is known of those that were
    /// there before stays.
    pub(super) fn take(&mut self, endpoints: &[Endpoint]) {
        let mut before = std::mem::take(&mut self.0);
        for endpoint in endpoints {
            let given = endpoint.variables.iter().cloned();
            let variables = given.map(|own| (own.name, own.value)).collect();
            match Known::read(&endpoint.uid, variables) {
                Ok(now) => {
                    let known = match before.remove(&endpoint.uid) {
                        Some(known) if known.variables == now.variables => known,
                        // Elsewhere it is looked for anew: it may have other addresses.
                        _ => now,
                    };
                    self.0.insert(endpoint.uid.clone(), known);
                }
                Err(why) => {
                    let Endpoint { namespace, name, .. } = endpoint;
                    tracing::warn!(why, pod = format!("{namespace}/{name}"), "it is not served");
                }
            }
        }
    }

    /// Whether this is the uid of one of them.
    pub(super) fn has(&self, uid: &str) -> bool {
        self.0.contains_key(uid)
    }

    /// Looks after every network, and has the folder say where they are. Gives
    /// how long that may do.
    ///
    /// # Errors
    /// The folder's, or the node's.
    pub(super) fn look(
        &mut self,
        search: &Search,
        folder: &mut Folder,
        now: Instant,
    ) -> Result<Duration, FinderError> {
        for known in self.0.values_mut() {
            if known.found.is_some_and(|found| !search.is_there(&found)) {
                known.lost();
            }
        }
        if self.0.values().any(|known| known.is_due(now)) {
            self.search(search, now)?;
        }
        folder.keep_only(self)?;
        for (uid, known) in &mut self.0 {
            if !std::mem::take(&mut known.is_news) {
                continue;
            }
            match &known.found {
                Some(found) => {
                    let network = search.path(found);
                    if folder.put(uid, (&network, found.inode), &known.variables)? {
                        tracing::info!(pod = known.name(), network = %network.display(), "found");
                    }
                }
                None => folder.remove(uid)?,
            }
        }
        let due = self.0.values().filter_map(|known| known.due).min();
        Ok(due.map_or(Duration::MAX, |due| due.saturating_duration_since(now)))
    }

    /// Looks for all networks that are missing: one look is as dear as for one.
    fn search(&mut self, search: &Search, now: Instant) -> Result<(), FinderError> {
        let missing = self.0.iter().filter(|(_, known)| known.found.is_none());
        let missing: Vec<(&str, &[IpAddr])> =
            missing.map(|(uid, known)| (uid.as_str(), known.addresses.as_slice())).collect();
        let found = search.find(&missing).map_err(FinderError::Processes)?;
        let missing = self.0.values_mut().filter(|known| known.found.is_none());
        for (known, found) in missing.zip(found) {
            match found {
                Some(found) => known.found(found),
                None if known.is_due(now) => known.missed(now),
                None => {}
            }
        }
        Ok(())
    }
}
