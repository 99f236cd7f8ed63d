//! Watches, judge and reporter against an API server that follows a script.

mod api_server;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::api_server::ApiServer;
use super::*;
use crate::world::{PodKey, PodSlice};

const PODS: &str = "/api/v1/pods";
const NAMESPACES: &str = "/api/v1/namespaces";
const NODES: &str = "/api/v1/nodes";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const L7: &str = "/apis/policy.remora.dev/v1alpha1/l7policies";
const CLUSTER_L7: &str = "/apis/policy.remora.dev/v1alpha1/clusterl7policies";
const CNP: &str = "/apis/cilium.io/v2/ciliumnetworkpolicies";
const CNPS: &str = "/ciliumnetworkpolicies.cilium.io";

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(10);

/// An agent's inside, without its doors.
struct Agent {
    server: ApiServer,
    outlook: Outlook,
    troubles: Arc<Troubles>,
    _tasks: JoinSet<()>,
}

/// A cluster with a namespace, a server, a client, and our own kinds.
fn cluster() -> ApiServer {
    let server = ApiServer::default();
    server.put(NAMESPACES, json!({"metadata": {"name": "shop"}}));
    server.put(NODES, json!({"metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.0.0.0/16"]}}));
    server.put(PODS, pod("droid", "droid", "10.0.0.1"));
    server.put(PODS, pod("luke", "jedi", "10.0.0.2"));
    for collection in ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"] {
        collection_of(&server, collection);
    }
    for (name, collection) in [("l7policies", L7), ("clusterl7policies", CLUSTER_L7)] {
        let name = format!("{name}.policy.remora.dev");
        server.put(DEFINITIONS, definition(&name, "v1alpha1", &json!({PRESERVES: true})));
        collection_of(&server, collection);
    }
    server
}

const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";

/// Makes a collection exist that holds nothing.
fn collection_of(server: &ApiServer, collection: &str) {
    server.put(collection, json!({"metadata": {"name": "x"}}));
    server.delete(collection, "/x");
}

fn pod(name: &str, role: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"role": role}},
        "spec": {"serviceAccountName": "pilot", "initContainers": [{"name": "remora"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    })
}

fn policy(generation: i64, role: &str, rules: &Value) -> Value {
    json!({
        "metadata": {"name": "droids", "namespace": "shop", "uid": "p", "generation": generation},
        "spec": {"endpointSelector": {"matchLabels": {"role": "droid"}}, "ingress": [{
            "fromEndpoints": [{"matchLabels": {"role": role}}],
            "toPorts": [{"ports": [{"port": "4040", "protocol": "TCP"}], "rules": rules}]}]},
    })
}

fn read() -> Value {
    json!({"l7proto": "r2d2", "l7": [{"cmd": "READ"}]})
}

fn definition(name: &str, version: &str, spec: &Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"versions": [{"name": version, "served": true,
            "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}}]},
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    })
}

/// Cilium's definition, with these fields in `rules`.
fn cilium(rules: &Value) -> Value {
    let spec = json!({"properties": {"ingress": {"items": {"properties": {"toPorts": {"items": {
        "properties": {"rules": {"properties": rules}}}}}}}}});
    definition("ciliumnetworkpolicies.cilium.io", "v2", &spec)
}

impl Agent {
    fn start(server: &ApiServer) -> Self {
        let (judge, outlook) = Judge::new(World::of_cluster(Registry::BUILT_IN, Vec::new()));
        let (changes, received) = mpsc::channel(CHANGES);
        judge.start(received).expect("a thread");
        let troubles = Arc::<Troubles>::default();
        let watches = Watches {
            client: server.client(),
            registry: Registry::BUILT_IN,
            changes,
            troubles: Arc::clone(&troubles),
        };
        let mut tasks = JoinSet::new();
        watch(&mut tasks, &watches);
        Self { server: server.clone(), outlook, troubles, _tasks: tasks }
    }

    /// Waits until the droid's slice is such.
    async fn droid(&mut self, what: &str, is_such: impl Fn(&PodSlice) -> bool) -> Arc<PodSlice> {
        let key = PodKey { namespace: "shop".to_owned(), name: "droid".to_owned() };
        let slices = self.outlook.slices.wait_for(|slices| {
            slices.as_ref().and_then(|slices| slices.get(&key)).is_some_and(|own| is_such(own))
        });
        let slices = timeout(PATIENCE, slices).await.unwrap_or_else(|_| panic!("{what}: never"));
        let slices = slices.expect("a judge").clone().expect("slices");
        Arc::clone(slices.get(&key).expect("the droid"))
    }

    /// Waits until a pod is served, and with it everything that was written before it.
    async fn catch_up(&mut self, name: &str) {
        self.server.put(PODS, pod(name, "bystander", "10.0.9.9"));
        let key = PodKey { namespace: "shop".to_owned(), name: name.to_owned() };
        let slices = self
            .outlook
            .slices
            .wait_for(|slices| slices.as_ref().is_some_and(|slices| slices.contains_key(&key)));
        let _slices = timeout(PATIENCE, slices).await.expect("in time").expect("a judge");
    }
}

fn peers(slice: &PodSlice) -> Vec<String> {
    slice.peers.keys().map(ToString::to_string).collect()
}

fn is_open(slice: &PodSlice) -> bool {
    slice.policy.ingress_per_port_policies.iter().any(|port| port.rules.is_empty())
}

#[tokio::test]
async fn without_ciliums_kinds_our_own_are_served() {
    let server = cluster();
    server.put(L7, policy(1, "jedi", &read()));
    let mut agent = Agent::start(&server);
    let droid = agent.droid("the policy", |slice| !is_open(slice)).await;
    assert_eq!(peers(&droid), ["10.0.0.2"]);
    assert_eq!(droid.service_account, "pilot");
    assert_eq!(droid.hosts[0].host_addresses, ["10.0.0.0/16"]);
    server.put(PODS, pod("leia", "jedi", "10.0.0.3"));
    agent.droid("one more", |slice| peers(slice) == ["10.0.0.2", "10.0.0.3"]).await;
    server.put(L7, policy(2, "sith", &read()));
    agent.droid("the edit", |slice| peers(slice).is_empty() && !is_open(slice)).await;
    server.delete(L7, "shop/droids");
    agent.droid("the deletion", is_open).await;
}

#[tokio::test]
async fn nothing_is_told_before_everything_is_listed() {
    let server = cluster();
    server.refuse(&[PODS, NODES]);
    let mut agent = Agent::start(&server);
    let mut pending = agent.outlook.pending.clone();
    let two = pending.wait_for(|pending| pending.len() == 2);
    let two = timeout(PATIENCE, two).await.expect("in time").expect("a judge").clone();
    assert_eq!(two, [crate::world::Kind::Pod, crate::world::Kind::Node].into());
    let refused = async {
        while !agent.troubles.to_string().contains("pods: ") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("in time");
    assert!(agent.outlook.slices.borrow().is_none());
    let told = agent.troubles.to_string();
    let expected = "nodes: /api/v1/nodes is forbidden (403); apply deploy/rbac.yaml, which allows the agent what it needs; pods: ";
    assert!(told.starts_with(expected), "{told}");
    server.refuse(&[]);
    agent.droid("a slice", |_| true).await;
}

#[tokio::test]
async fn readiness_says_what_is_missing_and_stays() {
    let server = cluster();
    server.refuse(&[PODS]);
    let agent = Agent::start(&server);
    let view = View {
        outlook: agent.outlook.clone(),
        troubles: Arc::clone(&agent.troubles),
        serving: Arc::default(),
        counters: Arc::default(),
        expiries: Arc::default(),
    };
    let mut pending = agent.outlook.pending.clone();
    let one = pending.wait_for(|pending| pending.len() == 1);
    drop(timeout(PATIENCE, one).await.expect("in time").expect("a judge"));
    let unready = view.health("/readyz").expect("an answer");
    assert!(
        !unready.is_good && unready.text.starts_with("not listed yet: pods: "),
        "{}",
        unready.text
    );
    assert!(view.health("/livez").is_some_and(|answer| answer.is_good));
    server.refuse(&[]);
    let mut slices = agent.outlook.slices.clone();
    let listed = slices.wait_for(Option::is_some);
    drop(timeout(PATIENCE, listed).await.expect("in time").expect("a judge"));
    let unready = view.health("/readyz").expect("an answer");
    assert_eq!(unready.text, "no certificate yet: see the log about Secret remora-ca\n");
    let schedule = remora_certs::Schedule::default();
    let now = std::time::SystemTime::now();
    let authority = remora_certs::Authority::generate(now, &schedule).expect("a CA");
    let leaf = authority.issue(&["agent".to_owned()], now, &schedule).expect("a leaf");
    view.serving.set(leaf.certified());
    assert!(view.health("/readyz").is_some_and(|answer| answer.is_good));
    server.refuse(&[PODS, NODES, DEFINITIONS]);
    assert!(view.health("/readyz").is_some_and(|answer| answer.is_good), "what is known stays");
    assert!(
        view.metrics("/metrics")
            .is_some_and(|answer| answer.text.contains("remora_agent_policies"))
    );
    assert!(view.metrics("/").is_none() && view.health("/metrics").is_none());
}

#[tokio::test]
async fn ciliums_policies_come_with_their_kind_and_stay_when_it_goes() {
    let server = cluster();
    let mut agent = Agent::start(&server);
    agent.droid("no policy", is_open).await;
    let whole = cilium(&json!({"l7proto": {}, "http": {}}));
    server.put(CNP, policy(1, "jedi", &read()));
    server.put(DEFINITIONS, whole.clone());
    let before = agent.droid("the kind comes", |slice| !is_open(slice)).await;
    // An API server sweeps objects away before their definition, one by one.
    let mut going = whole.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    server.put(DEFINITIONS, going);
    server.delete(CNP, "shop/droids");
    server.delete(DEFINITIONS, CNPS);
    agent.catch_up("bystander").await;
    let droid = agent.droid("still", |_| true).await;
    assert_eq!(droid.policy, before.policy);
    // It comes back, without the policy: what it lists counts again.
    server.put(DEFINITIONS, whole);
    agent.droid("the kind is back", is_open).await;
}

#[tokio::test]
async fn what_is_swept_away_with_its_kind_is_not_withdrawn_though_the_news_come_late() {
    let server = cluster();
    let whole = cilium(&json!({"l7proto": {}, "l7": {}}));
    server.put(DEFINITIONS, whole.clone());
    server.put(CNP, policy(1, "jedi", &read()));
    let mut agent = Agent::start(&server);
    let rules = |slice: &PodSlice| -> usize {
        slice.policy.ingress_per_port_policies.iter().map(|port| port.rules.len()).sum()
    };
    agent.droid("the policy", |slice| rules(slice) == 1).await;
    let mut going = whole.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    server.put_quietly(DEFINITIONS, going);
    server.delete(CNP, "shop/droids");
    // Comes by the same watch, and so after it.
    let mut other = policy(1, "jedi", &read());
    other["metadata"]["name"] = json!("others");
    server.put(CNP, other);
    agent.droid("both", |slice| rules(slice) == 2).await;
    // By somebody's hand, it is another matter.
    server.put_quietly(DEFINITIONS, whole);
    server.delete(CNP, "shop/others");
    agent.droid("one", |slice| rules(slice) == 1).await;
}

#[tokio::test]
async fn a_definition_that_loses_l7proto_leaves_policies_as_they_were() {
    let server = cluster();
    server.put(CNP, policy(1, "jedi", &read()));
    server.put(DEFINITIONS, cilium(&json!({"l7proto": {}, "l7": {}})));
    let mut agent = Agent::start(&server);
    let before = agent.droid("the policy", |slice| !is_open(slice)).await;
    // As Cilium 1.20: the policy is served without its rules from now on.
    let mut cut = policy(1, "jedi", &json!({}));
    cut["spec"]["ingress"][0]["toPorts"][0].as_object_mut().expect("a map").remove("rules");
    server.put(DEFINITIONS, cilium(&json!({"http": {}})));
    let mut states = agent.outlook.policies.clone();
    server.put(CNP, cut);
    let kept = states.wait_for(|states| {
        let first = states.as_ref().and_then(|states| states.first());
        first.is_some_and(|own| own.outcome == remora_policy::Inserted::KeptLastGood)
    });
    drop(timeout(PATIENCE, kept).await.expect("in time").expect("a judge"));
    agent.catch_up("bystander").await;
    assert_eq!(agent.droid("still", |_| true).await.policy, before.policy);
}

#[tokio::test]
async fn authors_are_told_by_the_leader_alone() {
    let server = cluster();
    server.put(L7, policy(3, "jedi", &json!({"l7proto": "r2d2", "l7": [{"comand": "READ"}]})));
    let agent = Agent::start(&server);
    let (leading, leads) = channel::channel(false);
    let reporter = Reporter::new(server.client()).run(agent.outlook.policies.clone(), leads);
    let mut tasks = JoinSet::new();
    tasks.spawn(reporter);
    let mut states = agent.outlook.policies.clone();
    drop(timeout(PATIENCE, states.wait_for(Option::is_some)).await.expect("in time"));
    assert!(server.written().is_empty());
    leading.send_replace(true);
    let written = async {
        while server.written().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, written).await.expect("in time");
    let [(method, path, body)] = server.written().try_into().expect("one message");
    assert_eq!(method, hyper::Method::PATCH);
    assert_eq!(path, "/apis/policy.remora.dev/v1alpha1/namespaces/shop/l7policies/droids/status");
    let status = &body["status"];
    assert_eq!(
        (&status["observedGeneration"], &status["endpointsSelected"]),
        (&json!(3), &json!(1))
    );
    let condition = &status["conditions"][0];
    assert_eq!(condition["reason"], "RefusedAndClosed");
    let message = condition["message"].as_str().expect("a message");
    assert!(message.starts_with("spec.ingress[0].toPorts[0].rules.l7[0].comand: "), "{message}");
}
