//! What the sidecar makes of its agent's responses.

use std::time::{Duration, Instant};

use prost::Message as _;

use crate::support::{
    CLIENT, Client, Kind, LineServer, Pod, ask, get, hosts, l4, l7, policy, until,
};

/// An identity that is nobody's.
const OTHER: u32 = 2002;

#[tokio::test]
async fn the_first_ack_makes_it_ready() {
    let app = LineServer::start().await;
    let mut pod = Pod::start(app.address).await;
    pod.says("connected, but it has sent nothing yet").await;
    pod.agent.policy("5", &policy(vec![l7(app.address.port(), CLIENT, &["hello"])]));
    pod.agent.hosts("9", &hosts(CLIENT));
    let (mut versions, mut openings) = (Vec::new(), 0);
    while versions.len() < 2 {
        let (kind, request) = pod.agent.request().await;
        assert_eq!(request.node.unwrap().id, "sidecar~127.0.0.1~droid.default~7a");
        assert_eq!(request.error_detail, None);
        if request.response_nonce.is_empty() {
            openings += 1;
            assert_eq!(request.version_info, "");
        } else {
            versions.push((kind, request.version_info));
        }
    }
    assert_eq!(openings, 2);
    assert_eq!(versions, [(Kind::Policies, "5".into()), (Kind::Hosts, "9".into())]);
    assert_eq!(pod.not_ready().await, None);
}

#[tokio::test]
async fn without_an_agent_it_says_where_it_waits_and_why() {
    let app = LineServer::start().await;
    let pod = Pod::start(app.address).await.stop_agent().await;
    pod.says("waiting for the first policy from unix:/").await;
    pod.says("agent.sock: Connection refused").await;
}

#[tokio::test]
async fn nothing_applies_before_both_halves_are_there() {
    let app = LineServer::start().await;
    let mut pod = Pod::start(app.address).await;
    pod.agent.policy("1", &policy(vec![l4(app.address.port(), CLIENT)]));
    pod.says("it has sent no addresses (NPHDS) yet").await;
    for _ in 0..2 {
        let (_, opening) = pod.agent.request().await;
        assert_eq!(opening.response_nonce, "");
    }
    assert!(!pod.agent.has_request(), "a policy that is not in force was acknowledged");
    pod.connect().await.expect_reset().await;

    pod.agent.hosts("1", &hosts(CLIENT));
    pod.agent.acked(Kind::Policies, "1").await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
}

#[tokio::test]
async fn an_unknown_field_is_named_in_a_nack_and_the_last_good_policy_stays() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let mut pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello"])]).await;
    pod.agent.acked(Kind::Hosts, "1").await;
    let mut widened = policy(vec![l7(port, CLIENT, &[])]).encode_to_vec();
    // Field 6, a varint: whatever it may mean one day.
    widened.extend([6 << 3, 1]);
    pod.agent.say(Kind::Policies, "2", vec![widened]);
    let (message, nack) = pod.agent.nacked(Kind::Policies).await;
    assert!(message.contains("NetworkPolicy has an unknown field 6"), "{message}");
    assert_eq!((nack.version_info.as_str(), nack.response_nonce.as_str()), ("1", "2"));

    let mut client = pod.connect().await;
    client.send("hello\nbye\n").await;
    client.expect("ok hello\ndenied\n").await;
    assert_eq!(pod.line().await["policy_version"], "1");
}

#[tokio::test]
async fn a_pod_has_exactly_one_policy_and_it_is_its_own() {
    let app = LineServer::start().await;
    let own = policy(vec![]).encode_to_vec();
    let mut others = policy(vec![]);
    others.endpoint_ips = vec!["10.0.0.9".into()];
    let cases = [
        (vec![], "exactly one policy, and there are 0"),
        (vec![own.clone(), own.clone()], "exactly one policy, and there are 2"),
        (vec![others.encode_to_vec()], "it is another pod's"),
        (vec![vec![0xff]], "resources[0]"),
    ];
    for (resources, says) in cases {
        let mut pod = Pod::ready(app.address, vec![]).await;
        pod.agent.acked(Kind::Hosts, "1").await;
        pod.agent.say(Kind::Policies, "2", resources);
        let (message, _) = pod.agent.nacked(Kind::Policies).await;
        assert!(message.contains(says), "{message}");
        // What is right again is taken again.
        pod.agent.say(Kind::Policies, "3", vec![own.clone()]);
        pod.agent.acked(Kind::Policies, "3").await;
    }
}

#[tokio::test]
async fn without_its_agent_it_judges_as_before() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut open = pod.connect().await;
    open.send("hello\n").await;
    open.expect("ok hello\n").await;
    let pod = pod.stop_agent().await;
    for client in [open, pod.connect().await] {
        let mut client: Client = client;
        client.send("bye\nhello\n").await;
        client.expect("denied\nok hello\n").await;
    }
    assert_eq!(pod.not_ready().await, None, "an agent that is gone makes nobody unready");
}

#[tokio::test]
async fn a_new_agents_numbers_never_meet_an_old_ones() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let mut pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello"])]).await;
    pod.restart_agent().await;
    // The new agent calls the same client by another number.
    pod.agent.hosts("1", &hosts(OTHER));
    for _ in 0..2 {
        let (_, opening) = pod.agent.request().await;
        assert_eq!((opening.response_nonce.as_str(), opening.version_info.as_str()), ("", ""));
    }
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    assert_eq!(pod.line().await["source_identity"], CLIENT);

    pod.agent.policy("1", &policy(vec![l7(port, OTHER, &["bye"])]));
    pod.agent.acked(Kind::Policies, "1").await;
    client.send("hello\nbye\n").await;
    client.expect("denied\nok bye\n").await;
    assert_eq!(pod.line().await["source_identity"], OTHER);
}

#[tokio::test]
async fn a_refused_version_sent_again_and_again_is_answered_slowly() {
    let app = LineServer::start().await;
    let mut pod = Pod::ready(app.address, vec![]).await;
    pod.agent.acked(Kind::Hosts, "1").await;
    let started = Instant::now();
    pod.agent.say(Kind::Policies, "2", vec![]);
    pod.agent.nacked(Kind::Policies).await;
    // An agent that takes every NACK for a reason to send the same again. The
    // other stream is served meanwhile.
    for version in ["2", "3", "4"] {
        pod.agent.repeat(Kind::Policies);
        pod.agent.hosts(version, &hosts(CLIENT));
    }
    let mut answers = Vec::new();
    while answers.last() != Some(&(Kind::Policies, true)) {
        let (kind, request) = pod.agent.answer().await;
        answers.push((kind, request.error_detail.is_some()));
    }
    let acks = [(Kind::Hosts, false); 3];
    assert_eq!(answers, [acks.as_slice(), &[(Kind::Policies, true)]].concat());
    assert!(started.elapsed() >= Duration::from_millis(500), "a second NACK came at once");
}

#[tokio::test]
async fn the_policy_in_force_can_be_asked_for() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l4(1, CLIENT), l4(2, CLIENT)]).await;
    let expected = "{\"version\":\"1\",\"source\":\"agent\",\"ready\":true,\"ingress_ports\":2,\"egress_ports\":0,\"rules\":2,\"identities\":1,\"addresses\":1,\"services\":0}\n";
    until("the counts", || async {
        let mut admin = Client::connect("127.0.0.1", pod.addresses.admin).await;
        admin.send("GET /policy HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let (answer, _) = admin.rest().await;
        answer.ends_with(expected)
    })
    .await;
}

#[tokio::test]
async fn the_rules_in_force_and_the_connections_can_be_asked_for() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello"])]).await;
    let (status, rules) = get("127.0.0.1", pod.addresses.admin, "/policy/rules").await;
    assert_eq!(status, 200);
    assert!(rules.contains("default/line ingress[0].toPorts[0].l7[0]"), "{rules}");
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    let (_, page) = get("127.0.0.1", pod.addresses.admin, "/connections").await;
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["connections"], 1);
    assert_eq!(page["listed"][0]["l7proto"], "line");
    assert_eq!(page["listed"][0]["source"], client.0.local_addr().unwrap().to_string());
    client.end().await;
    client.rest().await.1.unwrap();
    until("nobody to be listed", || async {
        get("127.0.0.1", pod.addresses.admin, "/connections")
            .await
            .1
            .starts_with("{\"connections\":0")
    })
    .await;
    let (status, _) = ask("127.0.0.1", pod.addresses.admin, "POST /connections").await;
    assert_eq!(status, 405, "nothing can be changed here");
}
