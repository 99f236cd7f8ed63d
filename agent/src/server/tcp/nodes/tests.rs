//! Which pods a node is told of when there are too many to tell of all.

use remora_api::endpoints::{Endpoint, Variable};

use super::*;

fn pod(name: &str, bytes: usize) -> Arc<OnNode> {
    let probes = Variable { name: "REMORA_PROBES".to_owned(), value: "x".repeat(bytes) };
    Arc::new(OnNode {
        node: "n1".to_owned(),
        endpoint: Endpoint {
            name: name.to_owned(),
            variables: vec![probes],
            ..Endpoint::default()
        },
    })
}

fn names(pods: &[Arc<OnNode>]) -> Vec<&str> {
    pods.iter().map(|own| own.endpoint.name.as_str()).collect()
}

#[test]
fn who_has_the_largest_variables_is_left_out_first() {
    let own = endpoint_bytes(&pod("a", 0));
    // The length of what is longer takes a few bytes more.
    let most = MAX_RESOURCES_BYTES - own - 16;
    assert_eq!(names(&fitting(&[pod("a", 0), pod("b", most - own)])), ["a", "b"]);
    assert_eq!(names(&fitting(&[pod("b", MAX_RESOURCES_BYTES), pod("a", 0)])), ["a"]);
    let thousand: Vec<_> = (0..1000).map(|_| pod("small", 2000)).collect();
    let mut all = thousand.clone();
    all.extend([pod("large", 1 << 20), pod("larger", 2 << 20), pod("largest", 3 << 20)]);
    let told = fitting(&all);
    assert_eq!(told.len(), 1001, "all but the two largest");
    assert!(names(&told).contains(&"large"));
    let told = fitting(&vec![pod("same", 5000); 1000]);
    assert!((800..840).contains(&told.len()), "as many as there is room for: {}", told.len());
}

#[test]
fn nodes_are_forgotten_with_their_pods_and_those_who_listen() {
    let nodes = Nodes::new(Arc::default());
    let slice = crate::world::PodSlice { on_node: Some(pod("a", 0)), ..Default::default() };
    let key = PodKey { namespace: String::new(), name: "a".to_owned() };
    let slices: Slices = [(key, Arc::new(slice))].into();
    nodes.serve(&slices);
    let feed = nodes.feed("n1");
    let version = |feed: &Feed| {
        let state = feed.state.borrow();
        let part = state.part(crate::server::feed::Kind::Endpoints).expect("told");
        (part.version, part.resources.len())
    };
    let first = version(&feed);
    assert_eq!(first.1, 1);
    nodes.serve(&slices);
    assert_eq!(version(&feed), first, "nothing is new");
    nodes.serve(&Slices::new());
    assert!(version(&feed).0 > first.0 && version(&feed).1 == 0, "that there is none is news");
    drop(feed);
    nodes.serve(&Slices::new());
    assert!(nodes.lock().nodes.is_empty());
}
