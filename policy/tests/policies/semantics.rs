//! What an accepted policy allows: one test for each meaning that the design
//! decides.

use crate::common::{World, admission, memcache, policy, r2d2, warnings};

const POD: &str = "app=cache";

/// A pod under one policy, with peers 1 (role=a) and 2 (role=b).
fn world(spec: &str) -> World {
    World::new([policy(spec)]).with(1, "role=a").with(2, "role=b")
}

fn spec(ingress: &str) -> String {
    format!("endpointSelector: {{matchLabels: {{app: cache}}}}\ningress:\n{ingress}")
}

/// What peers 1, 2 and an unknown one meet at port 80 and at port 81.
fn admissions(ingress: &str) -> [String; 6] {
    let slice = world(&spec(ingress)).slice(POD);
    [80, 81]
        .map(|port| [Some(1), Some(2), None].map(|peer| admission(&slice, port, peer)))
        .concat()
        .try_into()
        .expect("six")
}

#[test]
fn peers_and_ports_present_absent_and_empty() {
    const D: &str = "denied";
    const O: &str = "open";
    for (ingress, expected) in [
        // A rule that says nothing allows nothing: default deny alone.
        ("- {}", [D, D, D, D, D, D]),
        // No fromEndpoints: everybody. No toPorts: every port.
        ("- toPorts: [{ports: [{port: '80'}]}]", [O, O, O, D, D, D]),
        ("- fromEndpoints: [{matchLabels: {role: a}}]", [O, D, D, O, D, D]),
        // An empty list: nobody.
        ("- fromEndpoints: []", [D, D, D, D, D, D]),
        ("- fromEndpoints: []\n  toPorts: [{ports: [{port: '80'}]}]", [D, D, D, D, D, D]),
        // An empty selector: every endpoint of the namespace, and only those.
        ("- fromEndpoints: [{}]", [O, O, D, O, O, D]),
        // A selector that finds nobody allows nobody.
        ("- fromEndpoints: [{matchLabels: {role: c}}]", [D, D, D, D, D, D]),
        (
            "- fromEndpoints: [{matchLabels: {role: c}}]\n  toPorts: [{ports: [{port: '80'}]}]",
            [D, D, D, D, D, D],
        ),
        // Allows add up.
        (
            "- fromEndpoints: [{matchLabels: {role: a}}]\n- toPorts: [{ports: [{port: '81'}]}]",
            [O, D, D, O, O, O],
        ),
        // Several ports and entries; ANY and nothing mean TCP.
        (
            "- toPorts: [{ports: [{port: '80', protocol: ANY}]}, {ports: [{port: '81', protocol: TCP}]}]",
            [O, O, O, O, O, O],
        ),
    ] {
        assert_eq!(admissions(ingress), expected, "{ingress}");
    }
}

#[test]
fn a_policy_that_says_nothing_of_ingress_restricts_nothing_and_says_so() {
    let reading = policy("endpointSelector: {}");
    assert_eq!(
        warnings(&reading),
        ["p.yaml:5: spec: has neither `ingress` nor `egress`, so it restricts nothing; add one"]
    );
    assert_eq!(admission(&World::new([reading]).slice(POD), 80, None), "open");
}

#[test]
fn default_deny_holds_for_selected_pods_only() {
    let world = world(&spec("- {}"));
    assert_eq!(admission(&world.slice(POD), 80, Some(1)), "denied");
    assert_eq!(admission(&world.slice("app=other"), 80, Some(1)), "open");
    let elsewhere = "app=cache,k8s:io.kubernetes.pod.namespace=bar";
    assert_eq!(admission(&world.slice(elsewhere), 80, Some(1)), "open");
}

const FILTERED: &str = "
- fromEndpoints: [{matchLabels: {role: a}}]
  toPorts: [{ports: [{port: '80'}], rules: {l7proto: memcache, l7: [{command: get, keyPrefix: a/}]}}]";

#[test]
fn an_l7_rule_filters_requests() {
    let slice = world(&spec(FILTERED)).slice(POD);
    assert_eq!(admission(&slice, 80, Some(1)), "memcache");
    assert_eq!(admission(&slice, 80, Some(2)), "denied");
    for (line, allowed) in [
        ("get a/1", true),
        ("gets a/1 a/2", true),
        ("get b/1", false),
        ("get a/1 b/1", false),
        ("set a/1", false),
        ("get", false),
        ("version", false),
    ] {
        assert_eq!(memcache(&slice, 80, Some(1), line).is_forwarded(), allowed, "{line}");
        assert!(!memcache(&slice, 80, Some(2), line).is_forwarded(), "{line} of another peer");
        assert!(!memcache(&slice, 81, Some(1), line).is_forwarded(), "{line} at another port");
    }
}

#[test]
fn rules_that_allow_every_request_of_a_protocol() {
    for l7 in
        ["[{}]", "[{command: }]", "[{command: null}]", "[{command: ''}]", "[{command: get}, {}]"]
    {
        let rule = format!(
            "- toPorts: [{{ports: [{{port: '80'}}], rules: {{l7proto: memcache, l7: {l7}}}}}]"
        );
        let slice = world(&spec(&rule)).slice(POD);
        assert_eq!(admission(&slice, 80, None), "memcache", "{l7}");
        for line in ["get x", "set x", "quit", "flush_all"] {
            assert!(memcache(&slice, 80, None, line).is_forwarded(), "{l7}: {line}");
        }
    }
}

#[test]
fn a_protocol_without_rules_filters_nothing_and_says_so() {
    for rules in ["{l7proto: memcache}", "{l7proto: memcache, l7: []}"] {
        let reading =
            policy(&spec(&format!("- toPorts: [{{ports: [{{port: '80'}}], rules: {rules}}}]")));
        assert_eq!(
            warnings(&reading),
            ["p.yaml:7: spec.ingress[0].toPorts[0].rules: has no `l7` rules, so every request \
              is allowed, and none is looked at; add some"]
        );
        assert_eq!(admission(&World::new([reading]).slice(POD), 80, None), "open", "{rules}");
    }
}

#[test]
fn a_rule_that_looks_at_no_request_voids_the_filter_beside_it() {
    for (open, where_it_says_so, one, two) in [
        ("- toPorts: [{ports: [{port: '80'}]}]", "spec.ingress[1].toPorts[0]", "open", "open"),
        (
            "- fromEndpoints: [{matchLabels: {role: a}}]\n  toPorts: [{ports: [{port: '80'}]}]",
            "spec.ingress[1].toPorts[0]",
            "open",
            "denied",
        ),
        ("- fromEndpoints: [{}]", "spec.ingress[1]", "open", "open"),
    ] {
        let reading = policy(&spec(&format!("{FILTERED}\n{open}")));
        let [warning] = warnings(&reading) else { panic!("{open}: {reading:?}") };
        let said = format!(
            "{where_it_says_so}: allows any request and so voids shop/p ingress[0].toPorts[0]"
        );
        assert!(warning.contains(&said), "{open}: {warning}");
        let world = World::new([reading]).with(1, "role=a").with(2, "role=b");
        let slice = world.slice(POD);
        assert_eq!(admission(&slice, 80, Some(1)), one, "{open}");
        assert_eq!(admission(&slice, 80, Some(2)), two, "{open}");
        assert!(memcache(&slice, 80, Some(1), "set b").is_forwarded(), "{open}");
        assert_eq!(world.encode(POD).warnings.len(), 1, "{open}");
    }
}

#[test]
fn a_rule_for_other_peers_or_ports_voids_nothing() {
    for open in [
        "- fromEndpoints: [{matchLabels: {role: b}}]\n  toPorts: [{ports: [{port: '80'}]}]",
        "- toPorts: [{ports: [{port: '81'}]}]",
        "- fromEndpoints: []",
        "- {}",
    ] {
        let reading = policy(&spec(&format!("{FILTERED}\n{open}")));
        assert!(warnings(&reading).iter().all(|warning| !warning.contains("voids")), "{open}");
        let world = World::new([reading]).with(1, "role=a").with(2, "role=b");
        assert!(world.encode(POD).warnings.is_empty(), "{open}");
        assert_eq!(admission(&world.slice(POD), 80, Some(1)), "memcache", "{open}");
    }
}

#[test]
fn a_void_that_only_real_labels_bring_about_is_found_when_the_slice_is_made() {
    let open = "- fromEndpoints: [{matchLabels: {team: t}}]\n  toPorts: [{ports: [{port: '80'}]}]";
    let reading = policy(&spec(&format!("{FILTERED}\n{open}")));
    assert!(warnings(&reading).is_empty());
    let world = World::new([reading]).with(1, "role=a,team=t").with(2, "role=a");
    assert_eq!(
        world.encode(POD).warnings,
        ["shop/p ingress[1].toPorts[0] allows any request on port 80 and so voids \
          shop/p ingress[0].toPorts[0] for the peers of both"]
    );
    assert_eq!(admission(&world.slice(POD), 80, Some(1)), "open");
    assert_eq!(admission(&world.slice(POD), 80, Some(2)), "memcache");
}

#[test]
fn two_protocols_of_two_policies_close_the_port_loudly() {
    let rule = |name: &str, proto: &str| {
        let yaml = crate::common::document(
            "cilium.io/v2",
            "CiliumNetworkPolicy",
            &format!("{{name: {name}, namespace: shop}}"),
            &spec(&format!(
                "- toPorts: [{{ports: [{{port: '80'}}], rules: {{l7proto: {proto}, l7: [{{}}]}}}}]\n- toPorts: [{{ports: [{{port: '81'}}]}}]"
            )),
        );
        crate::common::readings("p.yaml", &yaml).pop().expect("one")
    };
    let world = World::new([rule("one", "memcache"), rule("two", "r2d2")]);
    let clash =
        "shop/one ingress[0].toPorts[0] says memcache, shop/two ingress[0].toPorts[0] says r2d2";
    assert_eq!(world.encode(POD).warnings, [format!("port 80 is closed: {clash}")]);
    let slice = world.slice(POD);
    assert_eq!(admission(&slice, 80, None), "denied");
    assert_eq!(memcache(&slice, 80, None, "get a").rule.as_deref(), Some(clash));
    assert!(!r2d2(&slice, 80, None, "READ a").is_forwarded());
    assert_eq!(admission(&slice, 81, None), "open");
}

#[test]
fn a_connection_of_another_protocol_than_policy_says_now_is_denied() {
    let slice = world(&spec(FILTERED)).slice(POD);
    let decision = r2d2(&slice, 80, Some(1), "READ a/1");
    assert_eq!(
        decision.reason.to_string(),
        "policy says memcache now: the connection has to be made anew"
    );
}

#[test]
fn expressions_match_the_whole_value() {
    let rule = "- toPorts: [{ports: [{port: '80'}], rules: {l7proto: r2d2, l7: [{cmd: READ, file: '/public/{id}.*'}]}}]";
    let slice = world(&spec(rule)).slice(POD);
    assert!(r2d2(&slice, 80, None, "READ /public/{id}/x").is_forwarded());
    assert!(!r2d2(&slice, 80, None, "READ /secret/public/{id}/x").is_forwarded());
    assert!(!r2d2(&slice, 80, None, "HALT").is_forwarded());
}

#[test]
fn spec_and_specs_stand_together() {
    let yaml = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  endpointSelector: {}
  ingress: [{toPorts: [{ports: [{port: '80'}]}]}]
specs:
- endpointSelector: {}
  ingress: [{toPorts: [{ports: [{port: '81'}]}]}]
";
    let slice = World::new(crate::common::readings("p.yaml", yaml)).slice(POD);
    let rule = |port| memcache(&slice, port, None, "get a").rule.map(|rule| rule.to_string());
    assert_eq!(rule(80).as_deref(), Some("shop/p ingress[0].toPorts[0]"));
    assert_eq!(rule(81).as_deref(), Some("shop/p specs[0].ingress[0].toPorts[0]"));
    assert_eq!(admission(&slice, 82, None), "denied");
}

#[test]
fn the_slice_names_only_identities_that_its_rules_name() {
    let world = world(&spec(FILTERED)).with(9, "role=z");
    assert_eq!(world.encode(POD).identities, [1].into());
    assert!(world.encode("app=other").identities.is_empty());
}
