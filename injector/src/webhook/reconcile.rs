//! Who should be injected and is not: pods from before the label, or from when the webhook
//! was away.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::time::sleep;
use tokio_stream::{Stream, StreamExt};

use super::certificate::explain_watch;
use super::counters::{Counters, family};
use super::events::Mailbox;
use crate::admission::{INJECT_LABEL, Mode, Owner, Standing, State, Story};

/// How often it is looked for news.
const LOOK: Duration = Duration::from_secs(5);
/// How long until a watch that failed is begun anew.
const PAUSE: Duration = Duration::from_secs(2);
/// The most Events of one look: the rest has time.
const STORIES_AT_A_TIME: usize = 50;

/// What a pod is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    uid: String,
    in_enabled: State,
    in_enforced: State,
    /// It was told about.
    is_told: bool,
}

/// A pod that should be injected and is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What its namespace asks for.
    pub mode: Mode,
}

/// All namespaces and live pods, as far as they matter here.
#[derive(Debug)]
pub struct Ledger {
    own: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    labels: HashMap<String, Option<String>>,
    pods: BTreeMap<(String, String), Facts>,
}

impl Facts {
    /// None for a pod that has ended, or is about to.
    fn of(pod: &Pod) -> Option<Self> {
        let json = serde_json::to_value(pod).unwrap_or_default();
        let [in_enabled, in_enforced] =
            [Mode::Enabled, Mode::Enforced].map(|mode| State::of(&json, mode));
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let facts = Self { uid, in_enabled, in_enforced, is_told: false };
        (in_enabled != State::Ended).then_some(facts)
    }

    fn state(&self, mode: Mode) -> State {
        match mode {
            Mode::Enabled => self.in_enabled,
            Mode::Enforced => self.in_enforced,
        }
    }
}

impl Ledger {
    /// Of an installation in this namespace.
    #[must_use]
    pub fn new(own: &str) -> Self {
        Self { own: own.to_owned(), known: Mutex::default() }
    }

    /// A namespace, with its label as it is now.
    pub fn namespace(&self, name: &str, label: Option<&str>) {
        self.known().labels.insert(name.to_owned(), label.map(str::to_owned));
    }

    /// A pod as it is now.
    pub fn pod(&self, pod: &Pod) {
        let Some(key) = key(pod) else { return };
        let mut state = self.known();
        match Facts::of(pod) {
            None => drop(state.pods.remove(&key)),
            Some(mut facts) => {
                let before = state.pods.get(&key);
                facts.is_told = before.is_some_and(|old| old.is_told && old.uid == facts.uid);
                state.pods.insert(key, facts);
            }
        }
    }

    /// The pods that are missed.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.known().missed(&self.own).map(|(finding, _)| finding).collect()
    }

    /// Appends gauges in Prometheus' text format (version 0.0.4): modes and states are few.
    pub(crate) fn render(&self, text: &mut String) {
        let state = self.known();
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for ((namespace, _), facts) in &state.pods {
            if let Standing::In(mode) = state.standing(namespace, &self.own) {
                let count = counts.entry((mode.label(), facts.state(mode).word())).or_default();
                *count = count.saturating_add(1);
            }
        }
        for mode in [Mode::Enabled, Mode::Enforced] {
            // What alarms are made of is always there.
            counts.entry((mode.label(), "missed")).or_default();
        }
        let name = "remora_injector_pods";
        let help =
            "Live pods of namespaces with the label; missed ones should be injected and are not.";
        family(text, name, "gauge", help);
        for ((mode, word), count) in counts {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}{{mode=\"{mode}\",state=\"{word}\"}} {count}");
        }
    }

    /// Findings that nobody was told of yet, as many as fit.
    fn stories(&self) -> Vec<Story> {
        let mut state = self.known();
        let news: Vec<_> = state
            .missed(&self.own)
            .filter(|(_, facts)| !facts.is_told)
            .map(|(finding, _)| finding)
            .take(STORIES_AT_A_TIME)
            .collect();
        for finding in &news {
            let key = (finding.namespace.clone(), finding.name.clone());
            if let Some(facts) = state.pods.get_mut(&key) {
                facts.is_told = true;
            }
        }
        news.into_iter().map(Finding::story).collect()
    }

    fn replace_pods(&self, pods: BTreeMap<(String, String), Facts>) {
        let mut state = self.known();
        let before = std::mem::replace(&mut state.pods, pods);
        for (key, facts) in &mut state.pods {
            facts.is_told = before.get(key).is_some_and(|old| old.is_told && old.uid == facts.uid);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn standing(&self, namespace: &str, own: &str) -> Standing {
        let label = self.labels.get(namespace).and_then(Option::as_deref);
        Standing::of(namespace, label, own)
    }

    fn missed<'a>(&'a self, own: &'a str) -> impl Iterator<Item = (Finding, &'a Facts)> {
        self.pods.iter().filter_map(|((namespace, name), facts)| {
            let Standing::In(mode) = self.standing(namespace, own) else { return None };
            let (namespace, name, uid) = (namespace.clone(), name.clone(), facts.uid.clone());
            let finding = Finding { namespace, name, uid, mode };
            (facts.state(mode) == State::Missed).then_some((finding, facts))
        })
    }
}

impl Finding {
    fn story(self) -> Story {
        let Self { namespace, name, uid, mode } = self;
        let note = format!(
            "this pod runs without Remora in a namespace that is {}: it was there before the label, \
             or came while the webhook was away; delete it, or restart its workload's rollout",
            mode.label()
        );
        let (api_version, kind) = ("v1".to_owned(), "Pod".to_owned());
        let owner = Owner { api_version, kind, namespace, name, uid: Some(uid) };
        Story { owner, is_warning: true, reason: "NotInjected", note }
    }
}

fn key(pod: &Pod) -> Option<(String, String)> {
    Some((pod.metadata.namespace.clone()?, pod.metadata.name.clone()?))
}

/// Follows namespaces and pods, and posts what is found, for as long as this is polled.
pub(super) async fn run(
    client: Client,
    ledger: Arc<Ledger>,
    mailbox: Mailbox,
    counters: Arc<Counters>,
) {
    let namespaces: Api<Metadata> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client);
    let all = watcher::Config::default;
    let tell = async {
        loop {
            sleep(LOOK).await;
            for story in ledger.stories() {
                mailbox.post(story, &counters);
            }
        }
    };
    tokio::join!(
        follow_namespaces(watcher(namespaces, all()), &ledger),
        follow_pods(watcher(pods, all()), &ledger),
        tell,
    );
}

type Metadata = kube::core::PartialObjectMeta<Namespace>;

async fn follow_namespaces(
    events: impl Stream<Item = watcher::Result<Event<Metadata>>>,
    ledger: &Ledger,
) {
    let mut events = pin!(events);
    let label = |namespace: &Metadata| {
        let labels = namespace.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(INJECT_LABEL)).cloned()
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => ledger.known().labels.clear(),
            Ok(Event::InitApply(namespace) | Event::Apply(namespace)) => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                ledger.namespace(&name, label(&namespace).as_deref());
            }
            Ok(Event::InitDone) => {}
            Ok(Event::Delete(namespace)) => {
                let name = namespace.metadata.name.unwrap_or_default();
                ledger.known().labels.remove(&name);
            }
            Err(error) => failed("namespaces", &error).await,
        }
    }
}

async fn follow_pods(events: impl Stream<Item = watcher::Result<Event<Pod>>>, ledger: &Ledger) {
    let mut events = pin!(events);
    let mut listed = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => listed.extend(key(&pod).zip(Facts::of(&pod))),
            Ok(Event::InitDone) => ledger.replace_pods(std::mem::take(&mut listed)),
            Ok(Event::Apply(pod)) => ledger.pod(&pod),
            Ok(Event::Delete(pod)) => {
                if let Some(key) = key(&pod) {
                    ledger.known().pods.remove(&key);
                }
            }
            Err(error) => failed("pods", &error).await,
        }
    }
}

async fn failed(what: &str, error: &watcher::Error) {
    tracing::error!(
        "watching {what}: {}; see that the injector's role allows it",
        explain_watch(error)
    );
    sleep(PAUSE).await;
}
