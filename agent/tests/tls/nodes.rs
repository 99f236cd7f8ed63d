//! Proxies of nodes: which pods they hear of, whose slices they get, and all the
//! ways of getting another's that end in a refusal. `docs/threats.md`, row 131.

use std::sync::Arc;

use remora_agent::world::{OnNode, PodSlice, Slices};
use remora_api::cilium::NetworkPolicy;
use remora_api::endpoints::{Endpoint, Variable};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::cluster::vouched;
use crate::common::{Stream, resources};
use crate::stage::{Agent, crew, key, limits, slice};

/// The status of the token of a proxy, or of who would like to be one.
fn proxy(namespace: &str, account: &str, node: Option<&str>) -> Value {
    let mut status = vouched(namespace, account, "remora-node-x7", "uid-proxy");
    if let Some(node) = node {
        status["user"]["extra"]["authentication.kubernetes.io/node-name"] = json!([node]);
    }
    status
}

/// The same pod, served by this node.
fn on_node(name: &str, slice: &Arc<PodSlice>, node: &str) -> Arc<PodSlice> {
    let variables = vec![Variable { name: "REMORA_POD_NAME".to_owned(), value: name.to_owned() }];
    let (namespace, name, uid) = ("shop".to_owned(), name.to_owned(), slice.uid.clone());
    let endpoint = Endpoint { namespace, name, uid, variables };
    let own = OnNode { node: node.to_owned(), endpoint };
    let on_node = Some(Arc::new(own));
    Arc::new(PodSlice { is_of_node: true, on_node, ..PodSlice::clone(slice) })
}

/// `cache` and `queue` on node n1, `far` on n2, and `droid` with a sidecar, on any.
fn fleet() -> Slices {
    let mut slices = crew();
    for (name, address, node) in
        [("cache", "10.0.1.1", "n1"), ("queue", "10.0.1.2", "n1"), ("far", "10.0.1.3", "n2")]
    {
        let own = slice(&format!("uid-{name}"), address, (300, "10.0.9.1"));
        slices.insert(key(name), on_node(name, &own, node));
    }
    slices
}

async fn start() -> Agent {
    let agent = Agent::start(limits()).await;
    agent.publish(fleet());
    let cluster = &agent.cluster;
    cluster.vouch("n1", proxy("remora", "remora-node", Some("n1")));
    cluster.vouch("n2", proxy("remora", "remora-node", Some("n2")));
    cluster.vouch("nowhere", proxy("remora", "remora-node", None));
    cluster.vouch("two-nodes", {
        let mut status = proxy("remora", "remora-node", None);
        status["user"]["extra"]["authentication.kubernetes.io/node-name"] = json!(["n1", "n2"]);
        status
    });
    cluster.vouch("other-account", proxy("remora", "default", Some("n1")));
    cluster.vouch("other-namespace", proxy("shop", "remora-node", Some("n1")));
    cluster.vouch("cache", vouched("shop", "default", "cache", "uid-cache"));
    eventually_told(&agent).await;
    agent
}

/// What was published has arrived.
async fn eventually_told(agent: &Agent) {
    crate::common::eventually("the fleet", || async {
        open(agent, "n1", &["shop/cache/uid-cache"]).await.ok().map(drop)
    })
    .await;
}

async fn open(agent: &Agent, token: &str, pods: &[&str]) -> Result<Stream, Status> {
    let channel = agent.connect().await.expect("connected");
    Stream::policies_of(&channel, &[&format!("Bearer {token}")], pods).await
}

async fn own_address(mut stream: Stream) -> String {
    stream.subscribe().await;
    let response = stream.accept().await;
    let [policy] = resources::<NetworkPolicy>(&response).try_into().expect("one policy");
    policy.endpoint_ips.concat()
}

async fn endpoints(agent: &Agent, token: &str) -> Result<Stream, Status> {
    let channel = agent.connect().await.expect("connected");
    Stream::endpoints_as(&channel, &[&format!("Bearer {token}")]).await
}

async fn names(stream: &mut Stream) -> Vec<String> {
    let response = stream.accept().await;
    resources::<Endpoint>(&response).into_iter().map(|own| own.name).collect()
}

#[tokio::test]
async fn a_node_hears_of_its_own_pods_and_of_every_change() {
    let agent = start().await;
    let mut near = endpoints(&agent, "n1").await.expect("let in");
    let mut far = endpoints(&agent, "n2").await.expect("let in");
    near.subscribe().await;
    far.subscribe().await;
    assert_eq!(names(&mut near).await, ["cache", "queue"]);
    assert_eq!(names(&mut far).await, ["far"]);
    let mut slices = fleet();
    slices.remove(&key("far"));
    agent.publish(slices.clone());
    assert!(names(&mut far).await.is_empty(), "that there is none is told, too");
    let moved = on_node("queue", &slice("uid-2", "10.0.1.9", (300, "10.0.9.1")), "n2");
    slices.insert(key("queue"), moved);
    agent.publish(slices);
    assert_eq!(names(&mut near).await, ["cache"]);
    assert_eq!(names(&mut far).await, ["queue"]);
    assert!(agent.metrics().contains("remora_agent_sidecars 0\n"), "a node is no pod");
    agent.stop().await;
}

#[tokio::test]
async fn endpoints_are_for_the_proxies_account_on_a_node_alone() {
    let agent = start().await;
    for (token, reason) in [
        ("nowhere", "1.30"),
        ("two-nodes", "1.30"),
        ("other-account", "--node-account"),
        ("other-namespace", "--node-account"),
        ("cache", "--node-account"),
        ("droid", "--node-account"),
    ] {
        let refused = endpoints(&agent, token).await.err().expect(token);
        assert_eq!(refused.code(), Code::PermissionDenied, "{token}: {refused:?}");
        assert!(refused.message().contains(reason), "{token}: {refused:?}");
    }
    let refused = endpoints(&agent, "guess").await.err().expect("a refusal");
    assert_eq!(refused.code(), Code::Unauthenticated);
    agent.stop().await;
}

#[tokio::test]
async fn a_nodes_proxy_gets_the_slices_of_its_pods() {
    let agent = start().await;
    for (token, pod, address) in [
        ("n1", "shop/cache/uid-cache", "10.0.1.1"),
        ("n1", "shop/queue/uid-queue", "10.0.1.2"),
        ("n2", "shop/far/uid-far", "10.0.1.3"),
    ] {
        let stream = open(&agent, token, &[pod]).await.expect(pod);
        assert_eq!(own_address(stream).await, address);
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_nodes_proxy_gets_nothing_else() {
    let agent = start().await;
    let denied: [(&str, &str, &[&str]); 11] = [
        ("a pod of another node", "n2", &["shop/cache/uid-cache"]),
        ("a pod with a sidecar of its own", "n1", &["shop/droid/uid-droid"]),
        ("a pod that nobody knows", "n1", &["shop/vader/uid-vader"]),
        ("an earlier pod of that name", "n1", &["shop/cache/uid-0"]),
        ("another pod's uid", "n1", &["shop/cache/uid-queue"]),
        ("another namespace's", "n1", &["default/cache/uid-cache"]),
        ("no pod named: its own pod's, which has no sidecar", "n1", &[]),
        ("a token that names no node", "nowhere", &["shop/cache/uid-cache"]),
        ("a token that names two", "two-nodes", &["shop/cache/uid-cache"]),
        ("another account", "other-account", &["shop/cache/uid-cache"]),
        ("that account of another namespace", "other-namespace", &["shop/cache/uid-cache"]),
    ];
    for (what, token, pods) in denied {
        let refused = open(&agent, token, pods).await.err().expect(what);
        assert_eq!(refused.code(), Code::PermissionDenied, "{what}: {refused:?}");
    }
    let malformed: [&[&str]; 4] = [
        &["shop/cache"],
        &["shop/cache/uid-cache/x"],
        &[""],
        &["shop/cache/uid-cache", "shop/queue/uid-queue"],
    ];
    for pods in malformed {
        let refused = open(&agent, "n1", pods).await.err().expect("a refusal");
        assert_eq!(refused.code(), Code::InvalidArgument, "{pods:?}: {refused:?}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn to_any_other_token_the_header_means_nothing() {
    let agent = start().await;
    for pods in [&["shop/cache/uid-cache"][..], &["shop/leia/uid-leia"], &["nonsense"], &[]] {
        let stream = open(&agent, "droid", pods).await.expect("let in");
        assert_eq!(own_address(stream).await, "10.0.0.1", "{pods:?}");
        // What a pod refuses, its node's proxy would not be sent.
        let refused = open(&agent, "cache", pods).await.err().expect("a refusal");
        assert_eq!(refused.code(), Code::PermissionDenied, "{pods:?}: {refused:?}");
        assert!(refused.message().contains("its node's proxy serves it"), "{refused:?}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_gone_or_new_ends_what_the_node_had_of_it() {
    let agent = start().await;
    let mut stream = open(&agent, "n1", &["shop/cache/uid-cache"]).await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;
    let mut slices = fleet();
    let again = on_node("cache", &slice("uid-2", "10.0.1.8", (300, "10.0.9.1")), "n1");
    slices.insert(key("cache"), again);
    agent.publish(slices);
    assert_eq!(stream.next().await.map_err(|end| end.code()), Err(Code::Unavailable));
    let refused = open(&agent, "n1", &["shop/cache/uid-cache"]).await.err().expect("of old");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let stream = crate::common::eventually("the new one", || async {
        open(&agent, "n1", &["shop/cache/uid-2"]).await.ok()
    })
    .await;
    assert_eq!(own_address(stream).await, "10.0.1.8");
    agent.stop().await;
}

#[tokio::test]
async fn a_connection_of_a_nodes_proxy_is_one_pods_too() {
    let agent = start().await;
    let channel = agent.connect().await.expect("connected");
    let bearer: &[&str] = &["Bearer n1"];
    let first = Stream::policies_of(&channel, bearer, &["shop/cache/uid-cache"]).await;
    assert!(first.is_ok());
    let second = Stream::policies_of(&channel, bearer, &["shop/queue/uid-queue"]).await;
    assert_eq!(second.err().map(|status| status.code()), Some(Code::PermissionDenied));
    let third = Stream::endpoints_as(&channel, bearer).await;
    assert_eq!(third.err().map(|status| status.code()), Some(Code::PermissionDenied));
    agent.stop().await;
}
