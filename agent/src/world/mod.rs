//! What the agent knows of the cluster, as plain maps: no clock, no I/O.
//!
//! Objects come one by one ([`World::apply`]) or all at once, from a directory
//! ([`World::update`]); [`World::settle`] then makes the slices that they give
//! each pod, and only those that can have changed. Identities are numbers for
//! distinct sets of labels; a number never comes to mean another set.

mod addresses;
mod catalog;
mod documents;
mod endpoint;
mod groups;
mod holdback;
mod identities;
mod live;
mod node;
mod object;
mod people;
mod pod;
mod policies;
mod prefix;
mod served;
mod service;
mod shelf;
mod slice;
mod stand_in;
mod surroundings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use remora_parsers::Registry;
use remora_policy::{CidrGroup, PolicyKind, Prefix};

use self::catalog::References;
use self::documents::Documents;
use self::groups::{GroupKey, Groups, Sources};
use self::live::Live;
use self::node::ClusterNode;
use self::object::{Content, PolicyObject};
use self::people::People;
use self::pod::{Namespace, Pod};
use self::policies::Policies;
use self::service::{EndpointSlice, Service};
use self::shelf::Shelf;
use crate::directory::{Manifests, Unreadable};
use crate::notice::{Notice, Severity};

pub use self::endpoint::OnNode;
pub use self::holdback::{Held, HoldBack, PATIENCE, Subscription};
pub use self::object::{Key, Kind, Object, ObjectVersion};
pub use self::pod::PodKey;
pub use self::policies::PolicyState;
pub(crate) use self::policies::consequence;
pub use self::served::Served;
pub use self::service::ServiceKey;
pub use self::slice::{PodSlice, Slices};

/// All pods, namespaces, nodes and policies.
#[derive(Debug)]
pub struct World {
    registry: Registry,
    scene: Scene,
    documents: Documents,
    unreadable: Vec<Unreadable>,
    pods: Shelf<PodKey, Pod>,
    namespaces: Shelf<String, Namespace>,
    nodes: Shelf<String, ClusterNode>,
    services: Shelf<ServiceKey, Service>,
    endpoint_slices: Shelf<ServiceKey, EndpointSlice>,
    cidr_groups: Shelf<String, CidrGroup>,
    references: References,
    policies: Policies,
    people: People,
    groups: Groups,
    live: BTreeMap<PodKey, Live>,
    last_endpoint: u64,
    slices: Slices,
    /// Namespaces that need the CA bundle, whatever is in them.
    bundled: BTreeSet<String>,
    /// Said once, with the next settling.
    happened: Vec<Notice>,
}

/// Where the objects come from.
#[derive(Debug)]
enum Scene {
    /// A directory: a namespace without a manifest has no labels.
    Directory,
    /// An API server: every namespace has an object, and one that has not come
    /// yet may have any labels.
    Cluster { ranges: Vec<Prefix> },
}

/// One thing that the API server says.
#[derive(Debug)]
pub enum Change {
    /// These are all objects of a kind.
    Replaced(Kind, Vec<Object>),
    /// An object is new, or another than before.
    Applied(Object),
    /// An object is gone.
    Deleted(Key),
    /// A kind of policy is served so from now on.
    Served(PolicyKind, Served),
}

impl World {
    /// An empty world that a directory describes. Its policies may name these protocols.
    pub fn new(registry: Registry) -> Self {
        Self::of(registry, Scene::Directory)
    }

    /// An empty world that an API server describes. `ranges` are the cluster's
    /// addresses besides those that its nodes tell.
    pub fn of_cluster(registry: Registry, ranges: Vec<Prefix>) -> Self {
        Self::of(registry, Scene::Cluster { ranges })
    }

    fn of(registry: Registry, scene: Scene) -> Self {
        Self {
            registry,
            scene,
            documents: Documents::default(),
            unreadable: Vec::new(),
            pods: Shelf::default(),
            namespaces: Shelf::default(),
            nodes: Shelf::default(),
            services: Shelf::default(),
            endpoint_slices: Shelf::default(),
            cidr_groups: Shelf::default(),
            references: References::default(),
            policies: Policies::default(),
            people: People::default(),
            groups: Groups::default(),
            live: BTreeMap::new(),
            last_endpoint: 0,
            slices: Slices::new(),
            bundled: BTreeSet::new(),
            happened: Vec::new(),
        }
    }

    /// The same world, with a namespace in which pods of ours need the CA bundle.
    pub fn with_bundle_in(mut self, namespace: &str) -> Self {
        self.bundled.insert(namespace.to_owned());
        self
    }

    /// Makes this the world that the manifests describe; what they no longer
    /// name is gone. Gives everything that is wrong or remarkable with it now.
    pub fn update(&mut self, manifests: &Manifests) -> Vec<Notice> {
        let mut notices = Vec::new();
        let objects = self.documents.read(&manifests.documents, self.registry, &mut notices);
        let mut kinds: BTreeMap<Kind, Vec<Object>> = PolicyKind::ALL
            .map(Kind::Policy)
            .into_iter()
            .chain([
                Kind::Pod,
                Kind::Namespace,
                Kind::Service,
                Kind::EndpointSlice,
                Kind::CidrGroup,
            ])
            .map(|kind| (kind, Vec::new()))
            .collect();
        for object in objects {
            let kind = object.key().and_then(|key| kinds.get_mut(&key.kind()));
            kind.into_iter().for_each(|objects| objects.push(object.clone()));
        }
        for (kind, objects) in kinds {
            self.apply(Change::Replaced(kind, objects));
        }
        self.unreadable.clone_from(&manifests.unreadable);
        notices.extend(self.settle());
        notices
    }

    /// Takes note of a change. What it means is for [`World::settle`].
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Applied(object) => self.put(object),
            Change::Replaced(kind, objects) => self.replace(kind, objects),
            Change::Deleted(Key::Pod(key)) => self.pods.remove(&key),
            Change::Deleted(Key::Namespace(name)) => self.namespaces.remove(&name),
            Change::Deleted(Key::Node(name)) => self.nodes.remove(&name),
            Change::Deleted(Key::Service(key)) => self.services.remove(&key),
            Change::Deleted(Key::EndpointSlice(key)) => self.endpoint_slices.remove(&key),
            Change::Deleted(Key::CidrGroup(name)) => self.cidr_groups.remove(&name),
            Change::Deleted(Key::Policy(kind, name)) => self.policies.remove(kind, &name),
            Change::Served(kind, served) => self.policies.serve(kind, served),
        }
    }

    fn put(&mut self, object: Object) {
        match object.0 {
            Content::Pod(pod) => self.pods.put(*pod),
            Content::Namespace(namespace) => self.namespaces.put(namespace),
            Content::Node(node) => self.nodes.put(node),
            Content::Service(service) => self.services.put(service),
            Content::EndpointSlice(slice) => self.endpoint_slices.put(slice),
            Content::CidrGroup(group) => self.cidr_groups.put(group),
            Content::Policy(policy) => self.policies.put(policy),
            Content::Nameless(error) => {
                self.happened.push(Notice::new(Severity::Error, 0, format!("{error}: ignored")));
            }
            Content::Other(_) => {}
        }
    }

    fn replace(&mut self, kind: Kind, objects: Vec<Object>) {
        let contents = objects.into_iter().map(|object| object.0);
        match kind {
            Kind::Pod => self.pods.replace(contents.filter_map(Content::pod).collect()),
            Kind::Namespace => {
                self.namespaces.replace(contents.filter_map(Content::namespace).collect());
            }
            Kind::Node => self.nodes.replace(contents.filter_map(Content::node).collect()),
            Kind::Service => self.services.replace(contents.filter_map(Content::service).collect()),
            Kind::EndpointSlice => {
                self.endpoint_slices
                    .replace(contents.filter_map(Content::endpoint_slice).collect());
            }
            Kind::CidrGroup => {
                self.cidr_groups.replace(contents.filter_map(Content::cidr_group).collect());
            }
            Kind::Policy(kind) => {
                let policies: Vec<PolicyObject> = contents.filter_map(Content::policy).collect();
                self.happened.extend(self.policies.replace(kind, policies));
            }
        }
    }

    /// Whether something was applied that makes a difference.
    pub fn is_unsettled(&self) -> bool {
        self.pods.is_changed()
            || self.namespaces.is_changed()
            || self.nodes.is_changed()
            || self.services.is_changed()
            || self.endpoint_slices.is_changed()
            || self.cidr_groups.is_changed()
            || self.policies.is_changed()
            || !self.happened.is_empty()
    }

    /// Makes the slices of what was applied. Gives everything that is wrong or
    /// remarkable now, whether or not it was before.
    pub fn settle(&mut self) -> Vec<Notice> {
        let mut notices = mem::take(&mut self.happened);
        let before = self.take_pods(&mut notices);
        self.take_catalog();
        self.stand_in();
        let parts = self.parts();
        let known = self.live.values().filter(|live| live.is_known);
        let moves = self.people.settle(
            known.map(|live| (&live.labels, live.addresses.as_slice(), live.ports.as_ref())),
            &parts,
        );
        let mut wanted: BTreeMap<GroupKey, usize> = BTreeMap::new();
        for live in self.live.values().filter(|live| live.is_injected) {
            let members = wanted.entry(live.group()).or_default();
            *members = members.saturating_add(1);
        }
        let touched = self.policies.take_touched();
        let surroundings = self.surroundings();
        let sources = Sources {
            policies: self.policies.set(),
            people: &self.people,
            references: &self.references,
            surroundings: &surroundings,
        };
        let made = self.groups.settle(wanted, &sources, &touched, &moves);
        tracing::debug!("made {made} slices anew");
        self.slice(&before, &surroundings);
        self.tell(&mut notices);
        notices
    }

    /// How many policies are known, refused ones among them.
    pub fn policy_count(&self) -> usize {
        self.policies.set().names().count()
    }

    /// What became of each policy.
    pub fn policy_states(&self) -> Vec<PolicyState> {
        self.policies.states(&self.groups.endpoints())
    }

    /// The pods that carry a sidecar.
    pub fn injected(&self) -> impl Iterator<Item = &PodKey> {
        self.slices.keys()
    }

    /// What this pod needs; none if it is not known, has completed or has no sidecar.
    pub fn slice_for(&self, key: &PodKey) -> Option<&Arc<PodSlice>> {
        self.slices.get(key)
    }

    /// The slice of every pod that carries a sidecar.
    pub fn slices(&self) -> &Slices {
        &self.slices
    }

    /// The namespaces with pods that may carry a sidecar: somebody has decided
    /// about their injection, or a pod there is marked by the injector. And
    /// those with pods of ours.
    pub fn bundle_namespaces(&self) -> BTreeSet<String> {
        let labelled =
            self.namespaces.good().filter(|(_, own)| own.is_marked).map(|(name, _)| name);
        let marked = self.pods.good().filter(|(_, pod)| pod.is_marked);
        let marked = marked.map(|(key, _)| &key.namespace);
        labelled.chain(marked).chain(&self.bundled).cloned().collect()
    }

    /// Closes what is about pods or policies that cannot be read.
    fn stand_in(&mut self) {
        let unknown: BTreeSet<&str> = self
            .live
            .iter()
            .filter(|(_, live)| !live.is_known)
            .map(|(key, _)| key.namespace.as_str())
            .collect();
        let files = self.unreadable.iter().filter_map(stand_in::for_file);
        let namespaces = unknown.into_iter().map(stand_in::for_namespace);
        self.policies.stand(files.chain(namespaces).collect());
    }

    /// What there is to say about the state as it is.
    fn tell(&self, notices: &mut Vec<Notice>) {
        self.policies.notices(notices);
        let unreadable = "it is not known, and pods of it are closed and recognised by nobody";
        notices.extend(self.namespaces.notices(unreadable));
        notices.extend(self.nodes.notices("its addresses are not known"));
        notices.extend(self.services.notices("what is called by it is not known"));
        notices.extend(self.endpoint_slices.notices("who answers is not known"));
        notices
            .extend(self.cidr_groups.notices("nobody is in it, and rules that deny it deny all"));
        notices.extend(self.pods.notices("this document is ignored"));
        let live = self.live.keys().filter_map(|key| self.pods.get(key));
        notices.extend(live.filter_map(endpoint::left_out));
        let warning = |text: &String| Notice::new(Severity::Warning, 0, text.as_str());
        notices.extend(self.groups.warnings().map(warning));
    }
}
