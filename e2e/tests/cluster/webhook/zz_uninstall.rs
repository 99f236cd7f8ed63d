//! The last of all: Remora goes, and holds nobody up.

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    install::NAMESPACE,
    kubectl::{eventually, expect},
    stage::items,
    table::MEMCACHED,
    webhook::chart::{Labelled, has_sidecar, helm, plain},
};

#[test]
fn what_is_uninstalled_is_gone_and_pods_keep_their_policy() {
    let enabled = Labelled::set("gone-on", "enabled");
    let enforced = Labelled::set("gone-strict", "enforced");
    enabled.apply(&reading("a/"));
    enabled.apply(MEMCACHED);
    enabled.apply(CLIENT);
    enabled.ready("memcached");
    enabled.accepted("cache");
    let mut client = enabled.client("client");
    client.reach_with("memcached:11211", "get a/x\r\n");

    helm(&["uninstall", "remora", "--namespace", NAMESPACE, "--wait", "--timeout=90s"])
        .expect("uninstalled");
    let kubectl = enabled.kubectl;
    for kind in [
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "clusterroles",
        "clusterrolebindings",
    ] {
        let names = kubectl.run(&["get", kind, "-o", "name"]).expect("names");
        assert!(!names.contains("remora"), "{kind}: {names}");
    }
    eventually("nothing of what the agent made is left", || {
        let kinds = ["get", "configmaps,secrets,leases", "--all-namespaces", "-o", "name"];
        let names = kubectl.run(&kinds)?;
        expect(
            !names.contains("remora-ca")
                && !names.contains("remora-injector")
                && !names.contains("remora-agent"),
            || names.clone(),
        )
    });
    let left = kubectl.get(&["-n", NAMESPACE, "deployments,pods,jobs"]).expect("a list");
    eventually("nothing of ours runs", || {
        let left =
            kubectl.get(&["-n", NAMESPACE, "deployments,pods,jobs,services"]).ok_or("no answer")?;
        expect(items(&left).count() == 0, || left.to_string())
    });
    drop(left);
    for definition in ["l7policies.policy.remora.dev", "clusterl7policies.policy.remora.dev"] {
        kubectl.run(&["get", "customresourcedefinition", definition]).expect("kept");
    }
    // Sidecars go on with what they have, and what starts starts.
    assert_eq!(client.ask_anew("memcached:11211", "get a/x\r\n"), Answer::miss());
    assert_eq!(client.ask_anew("memcached:11211", "get b/x\r\n"), Answer::denied());
    for stage in [&enabled, &enforced] {
        stage.apply(&plain("free").to_string());
        stage.ready("free");
        assert!(!has_sidecar(&stage.get(&["pod", "free"]).expect("the pod")));
    }
}
