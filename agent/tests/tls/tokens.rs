//! Whose token gets what: every way of not being the pod is refused, with the
//! code that says whose fault it is.

use std::time::Duration;

use remora_api::cilium::NetworkPolicy;
use remora_api::discovery::DiscoveryRequest;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::cluster::{Outage, vouched};
use crate::common::{Stream, eventually, resources};
use crate::stage::{Agent, crew, key, limits, slice};

/// What opening a stream with this token comes to.
async fn open(agent: &Agent, token: &str) -> Result<Stream, Status> {
    let channel = agent.connect().await.expect("connected");
    Stream::policies_as(&channel, &[&format!("Bearer {token}")]).await
}

async fn refusal(agent: &Agent, token: &str) -> Status {
    match open(agent, token).await {
        Ok(_) => panic!("{token}: let in"),
        Err(status) => status,
    }
}

async fn own_address(stream: &mut Stream) -> String {
    let response = stream.accept().await;
    let [policy] = resources::<NetworkPolicy>(&response).try_into().expect("one policy");
    policy.endpoint_ips.concat()
}

#[tokio::test]
async fn a_token_gets_its_own_pods_slice_whatever_the_request_says() {
    let agent = Agent::start(limits()).await;
    for (token, address) in [("droid", "10.0.0.1"), ("leia", "10.0.0.2")] {
        let mut stream = open(&agent, token).await.expect("let in");
        for claimed in ["shop/droid", "shop/leia", "kube-system/anything"] {
            let node = remora_api::core::Node { id: claimed.to_owned(), ..Default::default() };
            let resource_names = vec!["10.0.0.1".to_owned()];
            let request =
                DiscoveryRequest { node: Some(node), resource_names, ..Default::default() };
            stream.send(request).await;
        }
        assert_eq!(own_address(&mut stream).await, address);
    }
    agent.stop().await;
}

#[tokio::test]
async fn what_the_api_server_does_not_vouch_for_is_refused() {
    let good = vouched("shop", "default", "droid", "uid-droid");
    let with = |path: &str, value: Value| {
        let mut status = good.clone();
        *status.pointer_mut(path).expect("a field") = value;
        status
    };
    let without = |key: &str| {
        let mut status = good.clone();
        status.as_object_mut().expect("a map").remove(key);
        status
    };
    let plus_error = |error: &str| {
        let mut status = good.clone();
        status["error"] = json!(error);
        status
    };
    let name = "/user/extra/authentication.kubernetes.io~1pod-name";
    let uid = "/user/extra/authentication.kubernetes.io~1pod-uid";
    let cases = [
        ("another audience", with("/audiences", json!(["https://kubernetes.default.svc"]))),
        ("one more audience", with("/audiences", json!(["remora-agent", "other"]))),
        ("no audience", with("/audiences", json!([]))),
        ("audiences unsaid", without("audiences")),
        ("an audience error", plus_error("token audiences [x] is invalid for [remora-agent]")),
        ("not authenticated", with("/authenticated", json!(false))),
        ("authentication unsaid", without("authenticated")),
        ("nobody", without("user")),
        ("a person", with("/user/username", json!("kubernetes-admin"))),
        ("a node", with("/user/username", json!("system:node:one"))),
        ("half an account", with("/user/username", json!("system:serviceaccount:shop"))),
        ("an account without namespace", with("/user/username", json!("system:serviceaccount::x"))),
        ("a token of no pod", with("/user/extra", json!({}))),
        ("a pod without name", with(name, json!([]))),
        ("a pod without uid", with(uid, json!([""]))),
        ("a pod of two uids", with(uid, json!(["uid-droid", "uid-leia"]))),
        ("nothing", json!({})),
    ];
    for (what, status) in cases {
        // One each, since refusals use up what a source may ask.
        let agent = Agent::start(limits()).await;
        agent.cluster.vouch("a-secret", status);
        let refusal = refusal(&agent, "a-secret").await;
        assert_eq!(refusal.code(), Code::Unauthenticated, "{what}: {refusal:?}");
        assert!(refusal.message().contains("remora-token"), "{what}: a remedy: {refusal:?}");
        assert!(!refusal.message().contains("a-secret"), "{what}: tokens are not repeated");
        assert!(open(&agent, "droid").await.is_ok(), "{what}: nobody else is affected");
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_pod_that_is_not_the_one_known_here_is_refused() {
    let agent = Agent::start(limits()).await;
    let cases = [
        ("deleted", vouched("shop", "default", "vader", "uid-vader"), "not known"),
        ("recreated", vouched("shop", "default", "droid", "uid-2"), "earlier or later"),
        ("another's uid", vouched("shop", "default", "droid", "uid-leia"), "earlier or later"),
        ("another namespace's", vouched("other", "default", "droid", "uid-droid"), "not known"),
        ("another account's", vouched("shop", "admin", "droid", "uid-droid"), "service account"),
    ];
    for (what, status, reason) in cases {
        let token = what.replace([' ', '\''], "-");
        agent.cluster.vouch(&token, status);
        let refusal = refusal(&agent, &token).await;
        assert_eq!(refusal.code(), Code::PermissionDenied, "{what}: {refusal:?}");
        assert!(refusal.message().contains(reason), "{what}: {refusal:?}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn none_and_garbage_are_refused_without_asking_anybody() {
    let agent = Agent::start(limits()).await;
    let channel = agent.connect().await.expect("connected");
    let cases: [&[&str]; 7] = [
        &[],
        &[""],
        &["droid"],
        &["Basic droid"],
        &["Bearer"],
        &["Bearer {\"alg\":\"none\"}"],
        &["Bearer droid", "Bearer leia"],
    ];
    for values in cases {
        let refused = Stream::policies_as(&channel, values).await.err().expect("a refusal");
        assert_eq!(refused.code(), Code::Unauthenticated, "{values:?}: {refused:?}");
    }
    assert_eq!(agent.cluster.reviews(), 0);
    agent.stop().await;
}

#[tokio::test]
async fn without_the_api_server_nobody_new_gets_in() {
    let agent = Agent::start(limits()).await;
    for (outage, reason) in [
        (Outage::Forbidden, "does not let the agent"),
        (Outage::Unreachable, "does not reach"),
        (Outage::Silent, "does not answer"),
    ] {
        agent.cluster.fail(outage);
        let refusal = refusal(&agent, "droid").await;
        assert_eq!(refusal.code(), Code::Unavailable, "{refusal:?}");
        assert!(refusal.message().contains(reason), "{refusal:?}");
    }
    agent.cluster.fail(Outage::None);
    assert!(open(&agent, "droid").await.is_ok());
    let metrics = agent.metrics();
    assert!(metrics.contains("token_reviews_total{result=\"unavailable\"} 3"), "{metrics}");
    agent.stop().await;
}

#[tokio::test]
async fn both_streams_and_a_reconnect_take_one_review() {
    let agent = Agent::start(limits()).await;
    let bearer: &[&str] = &["Bearer droid"];
    let channel = agent.connect().await.expect("connected");
    let (policies, hosts) =
        tokio::join!(Stream::policies_as(&channel, bearer), Stream::hosts_as(&channel, bearer));
    let _open = (policies.expect("let in"), hosts.expect("let in"));
    let again = open(&agent, "droid").await.expect("let in");
    assert_eq!(agent.cluster.reviews(), 1);
    assert!(agent.metrics().contains("remora_agent_sidecars 1\n"), "{}", agent.metrics());

    // A token that is still remembered is no way to a pod that is gone.
    agent.publish([(key("leia"), crew().remove(&key("leia")).expect("leia"))].into());
    eventually("the end", || async { agent.metrics().contains("sidecars 0\n").then_some(()) })
        .await;
    drop(again);
    assert_eq!(refusal(&agent, "droid").await.code(), Code::PermissionDenied);
    assert_eq!(agent.cluster.reviews(), 1);
    agent.stop().await;
}

#[tokio::test]
async fn streams_end_with_their_pod() {
    let agent = Agent::start(limits()).await;
    let mut stream = open(&agent, "droid").await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;
    let mut slices = crew();
    slices.insert(key("droid"), slice("uid-2", "10.0.0.7", (300, "10.0.9.1")));
    agent.publish(slices);
    assert_eq!(stream.next().await.map_err(|end| end.code()), Err(Code::Unavailable));
    assert_eq!(refusal(&agent, "droid").await.code(), Code::PermissionDenied, "of old");
    agent.cluster.vouch("droid-2", vouched("shop", "default", "droid", "uid-2"));
    let mut stream = open(&agent, "droid-2").await.expect("let in");
    stream.subscribe().await;
    assert_eq!(own_address(&mut stream).await, "10.0.0.7");
    agent.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does_but_not_with_the_api_server() {
    let short = Duration::from_millis(100);
    let limits =
        remora_agent::server::tcp::Limits { cache: short, review_again: short, ..limits() };
    let agent = Agent::start(limits).await;
    let mut stream = open(&agent, "droid").await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;
    agent.cluster.fail(Outage::Unreachable);
    let asked = agent.cluster.reviews() + 3;
    eventually("reviews", || async { (agent.cluster.reviews() > asked).then_some(()) }).await;
    agent.cluster.fail(Outage::None);
    let asked = agent.cluster.reviews() + 3;
    eventually("reviews", || async { (agent.cluster.reviews() > asked).then_some(()) }).await;
    // It still is told what is new.
    let mut slices = crew();
    slices.insert(key("droid"), slice("uid-droid", "10.0.0.8", (300, "10.0.9.1")));
    agent.publish(slices);
    assert_eq!(own_address(&mut stream).await, "10.0.0.8");

    agent.cluster.revoke("droid");
    assert_eq!(stream.next().await.map_err(|end| end.code()), Err(Code::Unauthenticated));
    assert_eq!(refusal(&agent, "droid").await.code(), Code::Unauthenticated);
    agent.stop().await;
}

#[tokio::test]
async fn a_token_that_nobody_can_review_does_not_count_for_ever() {
    let short = Duration::from_millis(100);
    let unreviewed = 3 * short;
    let limits = remora_agent::server::tcp::Limits {
        cache: short,
        review_again: short,
        unreviewed,
        ..limits()
    };
    let agent = Agent::start(limits).await;
    let mut stream = open(&agent, "droid").await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;
    agent.cluster.fail(Outage::Unreachable);
    assert_eq!(stream.next().await.map_err(|end| end.code()), Err(Code::Unavailable));
    agent.stop().await;
}

#[tokio::test]
async fn a_connection_is_one_pods() {
    let agent = Agent::start(limits()).await;
    let channel = agent.connect().await.expect("connected");
    let first = Stream::policies_as(&channel, &["Bearer droid"]).await;
    let second = Stream::policies_as(&channel, &["Bearer leia"]).await;
    assert!(first.is_ok());
    assert_eq!(second.err().map(|status| status.code()), Some(Code::PermissionDenied));
    agent.stop().await;
}

#[tokio::test]
async fn tokens_that_do_not_count_are_soon_not_even_reviewed() {
    let agent = Agent::start(limits()).await;
    assert!(open(&agent, "droid").await.is_ok());
    let mut codes = Vec::new();
    for guess in 0..40 {
        codes.push(refusal(&agent, &format!("guess-{guess}")).await.code());
    }
    assert_eq!(codes.first(), Some(&Code::Unauthenticated));
    assert_eq!(codes.last(), Some(&Code::ResourceExhausted));
    assert!(agent.cluster.reviews() < 30, "{}", agent.cluster.reviews());
    assert!(open(&agent, "droid").await.is_ok(), "who was let in before still is");
    agent.stop().await;
}
