//! Versions and the largest message.

use remora_api::cilium::{NetworkPolicy, NetworkPolicyHosts};

use super::*;

/// A slice whose hosts take about this many bytes.
fn slice(endpoint_id: u64, bytes: usize) -> Arc<PodSlice> {
    let address = "10.0.0.1".repeat(100);
    let host_addresses = vec![address.clone(); bytes / address.len()];
    Arc::new(PodSlice {
        policy: NetworkPolicy { endpoint_id, ..NetworkPolicy::default() },
        hosts: Arc::new(vec![NetworkPolicyHosts { policy: 256, host_addresses }]),
        ..PodSlice::default()
    })
}

fn publisher(slice: &Arc<PodSlice>) -> (Publisher, Feed) {
    let pod = PodKey { namespace: "shop".to_owned(), name: "droid".to_owned() };
    let (mut publisher, feed) = Publisher::new(pod, slice, None, &Arc::default());
    publisher.publish(slice);
    (publisher, feed)
}

fn versions(feed: &Feed) -> [Option<u64>; 2] {
    let state = feed.state.borrow();
    [Kind::Policy, Kind::Hosts].map(|kind| state.part(kind).map(|part| part.version))
}

#[test]
fn only_what_changed_gets_a_new_version() {
    let (mut publisher, feed) = publisher(&slice(1, 0));
    let [policy, hosts] = versions(&feed);
    publisher.publish(&slice(1, 0));
    assert_eq!(versions(&feed), [policy, hosts]);
    publisher.publish(&slice(2, 0));
    let [next, same] = versions(&feed);
    assert!(next > policy && same == hosts);
    publisher.publish(&slice(2, 1000));
    assert!(versions(&feed)[0] == next && versions(&feed)[1] > hosts);
}

#[test]
fn what_no_message_holds_is_not_sent_and_the_last_slice_stays() {
    let (mut publisher, feed) = publisher(&slice(1, 1000));
    let before = versions(&feed);
    publisher.publish(&slice(2, MAX_MESSAGE_BYTES));
    assert_eq!(versions(&feed), before, "neither part, since they belong together");
    publisher.publish(&slice(2, 1000));
    let after = versions(&feed);
    assert!(after[0] > before[0], "the policy was held back, not forgotten");
    assert_eq!(after[1], before[1]);
}

#[test]
fn without_a_last_slice_nothing_is_sent() {
    let (mut publisher, feed) = publisher(&slice(1, MAX_MESSAGE_BYTES));
    assert_eq!(versions(&feed), [None, None]);
    publisher.publish(&slice(1, 1000));
    assert!(versions(&feed).iter().all(Option::is_some));
}
