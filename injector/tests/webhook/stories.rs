//! Events: one for each owner and reason, and none that holds anything up.

use std::sync::{Arc, Mutex};

use k8s_openapi::jiff::Timestamp;
use remora_injector::admission::{Mode, Owner, Story, review};
use remora_injector::webhook::{Counters, Mailbox, deliver, event};
use serde_json::json;

use crate::api_server::{scripted, status};
use crate::rendered;

fn story(name: &str) -> Story {
    let owner = Owner {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: Some("2".to_owned()),
    };
    Story { owner, is_warning: true, reason: "NotInjected", note: "because".to_owned() }
}

#[test]
fn an_event_is_about_its_owner_and_named_after_what_it_tells() {
    let first = event(&story("cart"), "injector-1", Timestamp::UNIX_EPOCH);
    assert_eq!(first.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(first.type_.as_deref(), Some("Warning"));
    assert_eq!(first.reason.as_deref(), Some("NotInjected"));
    let regarding = first.regarding.expect("an object");
    assert_eq!(
        (regarding.kind.as_deref(), regarding.uid.as_deref()),
        (Some("ReplicaSet"), Some("2"))
    );
    let other = event(&story("cart"), "injector-2", Timestamp::MAX);
    assert_eq!(first.metadata.name, other.metadata.name, "replicas and times do not matter");
    let other = event(&story("till"), "injector-1", Timestamp::UNIX_EPOCH);
    assert_ne!(first.metadata.name, other.metadata.name);
}

#[tokio::test(start_paused = true)]
async fn a_story_is_told_once_and_what_fails_is_counted() {
    let posted = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&posted);
    let (client, _server) = scripted(move |method, path, body| {
        assert_eq!((method, path), ("POST", "/apis/events.k8s.io/v1/namespaces/shop/events?"));
        let owner = body["regarding"]["name"].as_str().expect("a name").to_owned();
        log.lock().expect("whole").push(owner.clone());
        match owner.as_str() {
            "known" => status(409, "AlreadyExists"),
            "denied" => status(403, "Forbidden"),
            _ => (201, body),
        }
    });
    let counters: Arc<Counters> = Arc::default();
    let (mailbox, stories) = Mailbox::new();
    for name in ["cart", "cart", "known", "denied", "till", "cart"] {
        mailbox.post(story(name), &counters);
    }
    drop(mailbox);
    deliver(client, "injector-1".to_owned(), stories, Arc::clone(&counters)).await;
    assert_eq!(*posted.lock().expect("whole"), ["cart", "known", "denied", "till"]);
    assert!(rendered(&counters).contains("remora_injector_events_lost_total 1\n"));
}

#[test]
fn a_dry_run_has_no_story() {
    let mut bytes = crate::review();
    let told = |review: &serde_json::Value| {
        let answer =
            self::review(review.to_string().as_bytes(), Mode::Enabled, &Default::default());
        answer.expect("a review").story.is_some()
    };
    assert!(told(&bytes));
    bytes["request"]["dryRun"] = json!(true);
    assert!(!told(&bytes));
}
