//! Who waits for whom.

use std::collections::BTreeMap;

use super::ledger::MAX_PENDING;
use super::*;

/// A pod, and by which identity it is recognised by its address.
fn pod(uid: &str, address: &str, identity: Option<u32>) -> PodSlice {
    let address = address.parse().expect("an address");
    PodSlice {
        uid: uid.to_owned(),
        addresses: BTreeMap::from([(address, identity)]),
        ..PodSlice::default()
    }
}

/// A server's slice: whom it recognises by which address.
fn knows(peers: &[(&str, u32)]) -> Arc<PodSlice> {
    let peer = |(address, identity): &(&str, u32)| (address.parse().expect("one"), *identity);
    Arc::new(PodSlice {
        uid: "server".to_owned(),
        peers: Arc::new(peers.iter().map(peer).collect()),
        ..PodSlice::default()
    })
}

#[test]
fn an_address_that_nobody_knows_is_free() {
    let holdback = HoldBack::new();
    let server = holdback.subscribe("server", false);
    server.sent(1, &knows(&[("10.0.0.1", 300)]));
    server.accepted(1);
    assert_eq!(holdback.may_serve(&pod("new", "10.0.0.2", Some(301))), Ok(()));
}

#[test]
fn a_reused_address_waits_until_every_connected_sidecar_has_unlearnt_it() {
    let holdback = HoldBack::new();
    let servers = ["a", "b"].map(|uid| holdback.subscribe(uid, false));
    for server in &servers {
        server.sent(1, &knows(&[("10.0.0.1", 300)]));
        server.accepted(1);
    }
    let newcomer = pod("new", "10.0.0.1", Some(301));
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(2)));
    for server in &servers {
        server.sent(2, &knows(&[("10.0.0.1", 301)]));
    }
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(2)), "sent is not in force");
    servers[0].accepted(2);
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)));
    servers[1].accepted(2);
    assert_eq!(holdback.may_serve(&newcomer), Ok(()));
    servers[1].sent(3, &knows(&[("10.0.0.1", 999)]));
    assert_eq!(holdback.may_serve(&newcomer), Ok(()), "its first slice is out");
    holdback.forget("new");
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)));
}

#[test]
fn what_was_sent_counts_until_something_later_is_accepted() {
    let holdback = HoldBack::new();
    let server = holdback.subscribe("server", false);
    server.sent(1, &knows(&[("10.0.0.1", 300)]));
    server.sent(2, &knows(&[]));
    let newcomer = pod("new", "10.0.0.1", Some(301));
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)), "it may still apply the first");
    server.refused(2);
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)), "it keeps what it had");
    server.sent(3, &knows(&[]));
    server.accepted(3);
    assert_eq!(holdback.may_serve(&newcomer), Ok(()));
}

#[test]
fn a_refused_version_is_not_in_force() {
    let holdback = HoldBack::new();
    let server = holdback.subscribe("server", false);
    server.sent(1, &knows(&[("10.0.0.1", 300)]));
    server.refused(1);
    assert_eq!(holdback.may_serve(&pod("new", "10.0.0.1", Some(301))), Ok(()));
}

#[test]
fn equal_labels_are_one_identity_and_nobody_waits() {
    let holdback = HoldBack::new();
    let server = holdback.subscribe("server", false);
    server.sent(1, &knows(&[("10.0.0.1", 300)]));
    server.accepted(1);
    assert_eq!(holdback.may_serve(&pod("new", "10.0.0.1", Some(300))), Ok(()));
    let contested = pod("other", "10.0.0.1", None);
    assert_eq!(holdback.may_serve(&contested), Err(Held::Known(1)), "two claim it by now");
}

#[test]
fn without_an_address_nobody_starts() {
    let holdback = HoldBack::new();
    let slice = PodSlice { uid: "new".to_owned(), ..PodSlice::default() };
    assert_eq!(holdback.may_serve(&slice), Err(Held::NoAddress));
    assert_eq!(holdback.may_serve(&pod("new", "10.0.0.1", Some(300))), Ok(()));
}

#[test]
fn a_sidecar_that_comes_back_may_know_anything_and_waits_for_nobody() {
    let holdback = HoldBack::new();
    let server = holdback.subscribe("server", true);
    let newcomer = pod("new", "10.0.0.1", Some(301));
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)));
    let again = PodSlice { uid: "server".to_owned(), ..PodSlice::default() };
    assert_eq!(holdback.may_serve(&again), Ok(()));
    server.sent(1, &knows(&[]));
    server.accepted(1);
    assert_eq!(holdback.may_serve(&newcomer), Ok(()));
}

#[test]
fn two_newcomers_do_not_wait_for_each_other() {
    let holdback = HoldBack::new();
    let _streams = ["one", "two"].map(|uid| holdback.subscribe(uid, false));
    assert_eq!(holdback.may_serve(&pod("one", "10.0.0.1", Some(300))), Ok(()));
    assert_eq!(holdback.may_serve(&pod("two", "10.0.0.2", Some(301))), Ok(()));
}

#[test]
fn ones_own_sidecar_is_nobody_to_wait_for() {
    let holdback = HoldBack::new();
    let own = holdback.subscribe("new", false);
    own.sent(1, &knows(&[("10.0.0.1", 300)]));
    assert_eq!(holdback.may_serve(&pod("new", "10.0.0.1", Some(301))), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_disconnects_does_not_count_and_that_is_news() {
    let holdback = HoldBack::new();
    let server = holdback.subscribe("server", true);
    let newcomer = pod("new", "10.0.0.1", Some(301));
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)));
    // Before anybody asks: it is not forgotten.
    drop(server);
    holdback.changed().await;
    assert_eq!(holdback.may_serve(&newcomer), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_disconnected() {
    let holdback = HoldBack::new();
    let (mut silent, mut talking) =
        (holdback.subscribe("silent", true), holdback.subscribe("talking", true));
    let newcomer = pod("new", "10.0.0.1", Some(301));
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(2)));
    talking.sent(1, &knows(&[]));
    talking.accepted(1);
    holdback.changed().await;
    assert_eq!(holdback.may_serve(&newcomer), Err(Held::Known(1)));
    let before = Instant::now();
    holdback.changed().await;
    assert_eq!(before.elapsed(), PATIENCE);
    assert_eq!(holdback.may_serve(&newcomer), Ok(()));
    silent.expelled().await;
    let stays = tokio::time::timeout(PATIENCE, talking.expelled()).await;
    assert!(stays.is_err(), "it answered");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_everything_unanswered_is_disconnected() {
    let holdback = HoldBack::new();
    let mut server = holdback.subscribe("server", false);
    for version in 0..MAX_PENDING {
        server.sent(version.try_into().expect("small"), &knows(&[]));
    }
    assert!(tokio::time::timeout(PATIENCE, server.expelled()).await.is_err());
    server.sent(MAX_PENDING.try_into().expect("small"), &knows(&[]));
    server.expelled().await;
}
