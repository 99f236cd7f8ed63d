//! What is written, and that it is written once.

use remora_policy::Inserted;

use super::*;

fn state(kind: PolicyKind, outcome: Inserted, version: ObjectVersion) -> PolicyState {
    PolicyState {
        kind,
        name: PolicyName { namespace: Some("shop".to_owned()), name: "cache".to_owned() },
        version: Some(version),
        outcome,
        errors: Vec::new(),
        warnings: Vec::new(),
        selected: 1,
    }
}

fn version(generation: i64) -> ObjectVersion {
    ObjectVersion { uid: "u".to_owned(), generation, status: serde_json::Value::Null }
}

fn reporter() -> Reporter {
    let (service, _) =
        tower_test::mock::pair::<hyper::Request<_>, hyper::Response<kube::client::Body>>();
    Reporter::new(Client::new(service, "default"))
}

#[tokio::test]
async fn a_status_is_written_only_when_it_says_something_new() {
    let mut reporter = reporter();
    let now = Timestamp::UNIX_EPOCH;
    let mut policy = state(PolicyKind::L7Policy, Inserted::InForce, version(1));
    let news = reporter.news(&[policy.clone()], now);
    let [Message::Status(key, uid, status)] = news.as_slice() else { panic!("a status") };
    reporter.written.insert(key.clone(), (uid.clone(), status.clone()));
    assert!(reporter.news(&[policy.clone()], Timestamp::MAX).is_empty(), "it was written");
    // The API server tells that it is there; another replica would see no more.
    let seen = serde_json::to_value(status).expect("JSON");
    policy.version = Some(ObjectVersion { status: seen, ..version(1) });
    assert!(self::reporter().news(&[policy.clone()], Timestamp::MAX).is_empty());
    policy.selected = 2;
    assert_eq!(reporter.news(&[policy.clone()], now).len(), 1);
    // Deleted and made anew: another object.
    policy.selected = 1;
    policy.version = Some(ObjectVersion { uid: "v".to_owned(), ..version(1) });
    assert_eq!(reporter.news(&[policy], now).len(), 1);
}

#[tokio::test]
async fn a_refusal_of_another_kind_is_a_status_and_one_event_for_each_generation() {
    let mut reporter = reporter();
    let now = Timestamp::UNIX_EPOCH;
    let kind = PolicyKind::CiliumNetworkPolicy;
    let good = state(kind, Inserted::InForce, version(1));
    assert!(matches!(reporter.news(&[good], now).as_slice(), [Message::Status(..)]));
    let refused = |generation| [state(kind, Inserted::KeptLastGood, version(generation))];
    let news = reporter.news(&refused(2), now);
    let [Message::Status(key, uid, status), Message::Event(_, about, _)] = news.as_slice() else {
        panic!("a status and an event")
    };
    reporter.written.insert(key.clone(), (uid.clone(), status.clone()));
    reporter.posted.insert(key.clone(), about.clone());
    assert!(reporter.news(&refused(2), now).is_empty());
    assert_eq!(reporter.news(&refused(3), now).len(), 1);
    assert!(reporter.news(&[], now).is_empty() && reporter.posted.is_empty(), "it was deleted");
}

#[tokio::test]
async fn a_policy_of_a_file_has_nobody_to_be_told_to() {
    let mut policy = state(PolicyKind::L7Policy, Inserted::Closed, version(1));
    policy.version = None;
    assert!(reporter().news(&[policy], Timestamp::UNIX_EPOCH).is_empty());
}
