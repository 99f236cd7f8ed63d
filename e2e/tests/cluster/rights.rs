//! The agent's rights are those that it uses.

use crate::install::cluster;

const AGENT: &str = "--as=system:serviceaccount:remora:remora-agent";

/// What would let the agent read secrets, change workloads, or weaken
/// anybody's policy.
const MUST_NOT: [&[&str]; 12] = [
    &["get", "secrets", "--all-namespaces"],
    &["list", "secrets", "--namespace=remora"],
    &["get", "secret/other", "--namespace=remora"],
    &["get", "configmaps", "--all-namespaces"],
    &["update", "configmap/other", "--namespace=default"],
    &["delete", "configmap/remora-ca", "--namespace=default"],
    &["create", "pods", "--all-namespaces"],
    &["patch", "pods", "--all-namespaces"],
    &["update", "l7policies.policy.remora.dev", "--all-namespaces"],
    &["patch", "namespaces"],
    &["create", "serviceaccounts/token", "--all-namespaces"],
    &["*", "*", "--all-namespaces"],
];

#[test]
fn the_agent_may_not_do_what_it_does_not_need() {
    let kubectl = cluster();
    let granted: Vec<_> = MUST_NOT
        .iter()
        .filter(|what| kubectl.run(&[&["auth", "can-i", AGENT], **what].concat()).is_ok())
        .collect();
    assert!(granted.is_empty(), "expected: none of these\nseen: the agent may {granted:?}");
    // The question itself works: it says yes to what the agent does.
    let may = ["auth", "can-i", AGENT, "list", "pods", "--all-namespaces"];
    assert_eq!(kubectl.run(&may).as_deref().map(str::trim), Ok("yes"));
}
