//! The policies of the articles that the project started from.

use crate::common::{World, admission, errors, memcache, readings, warnings};

const SEED_001: &str = include_str!("../data/seed-001.yaml");
const SEED_003: &str = include_str!("../data/seed-003-cassandra.yaml");

const RULES: &str = "default/secure-rebel-alliance-memcache specs[0].ingress";

fn rebels() -> World {
    let default = "k8s:io.kubernetes.pod.namespace=default";
    World::new(readings("memcached.yaml", SEED_001))
        .with(1, &format!("function=fleet-maintanence,{default}"))
        .with(2, &format!("function=fleet-monitoring,{default}"))
        .with(3, &format!("role=jedi,{default}"))
        .with(4, &format!("function=fleet-sanitation,{default}"))
        .with(5, "role=jedi,k8s:io.kubernetes.pod.namespace=elsewhere")
}

#[test]
fn the_memcached_policy_loads_as_it_stands_with_one_warning() {
    let readings = readings("memcached.yaml", SEED_001);
    assert_eq!(
        warnings(&readings[0]),
        ["memcached.yaml:3: description: is no field of a policy and is ignored; remove it"]
    );
}

#[test]
fn the_memcached_policy_keeps_its_promises() {
    let slice = rebels().slice("app=memcached,k8s:io.kubernetes.pod.namespace=default");
    let lines = [
        "get alliance/fleet/x",
        "set alliance/fleet/x",
        "delete alliance/fleet/x",
        "get alliance/secret",
    ];
    for (client, peer, promised) in [
        ("maintenance", Some(1), [true, true, true, false]),
        ("monitoring", Some(2), [true, false, false, false]),
        ("jedi", Some(3), [true, true, true, true]),
        ("a pod no rule names", Some(4), [false; 4]),
        ("a jedi of another namespace", Some(5), [false; 4]),
        ("an outsider", None, [false; 4]),
    ] {
        let happened = lines.map(|line| memcache(&slice, 11211, peer, line).is_forwarded());
        assert_eq!(happened, promised, "{client}");
        let enters = promised.contains(&true);
        assert_eq!(admission(&slice, 11211, peer), if enters { "memcache" } else { "denied" });
        assert_eq!(admission(&slice, 11212, peer), "denied", "{client} at another port");
    }
}

#[test]
fn a_get_of_many_keys_passes_only_if_all_of_them_may() {
    let slice = rebels().slice("app=memcached,k8s:io.kubernetes.pod.namespace=default");
    let get = |line| memcache(&slice, 11211, Some(2), line).is_forwarded();
    assert!(get("get alliance/fleet/x alliance/fleet/y"));
    assert!(!get("get alliance/fleet/x secret"));
    assert!(!get("get secret alliance/fleet/x"));
}

#[test]
fn decisions_say_which_rule_and_why() {
    let slice = rebels().slice("app=memcached,k8s:io.kubernetes.pod.namespace=default");
    let allowed = memcache(&slice, 11211, Some(1), "get alliance/fleet/x");
    assert_eq!(allowed.rule.as_deref(), Some(&*format!("{RULES}[0].toPorts[0].l7[1]")));
    assert_eq!(allowed.reason.to_string(), "an l7 rule allows the request");
    let denied = memcache(&slice, 11211, Some(2), "set alliance/fleet/x");
    assert_eq!(denied.rule, None);
    assert_eq!(
        denied.reason.to_string(),
        format!(
            "no l7 rule matches command=set; nearest is {RULES}[1].toPorts[0].l7[0], but for its command"
        )
    );
    let stranger = memcache(&slice, 11211, Some(4), "get alliance/fleet/x");
    assert_eq!(stranger.reason.to_string(), "no rule of port 11211 allows identity 4");
    let outsider = memcache(&slice, 11211, None, "get alliance/fleet/x");
    assert_eq!(
        outsider.reason.to_string(),
        "no rule of port 11211 allows a peer of unknown identity"
    );
}

#[test]
fn a_pod_that_the_policy_does_not_select_stays_open() {
    for pod in ["app=redis,k8s:io.kubernetes.pod.namespace=default", "app=memcached"] {
        assert_eq!(admission(&rebels().slice(pod), 11211, None), "open", "{pod}");
    }
}

#[test]
fn the_misindented_cassandra_policy_is_refused_field_by_field() {
    assert_eq!(
        errors(&readings("cassandra.yaml", SEED_003)[0]),
        "cassandra.yaml:5: name: does not belong here; it belongs in `metadata`\n\
         cassandra.yaml:10: ingress: does not belong here; it belongs in `spec`\n\
         cassandra.yaml:4: metadata: is missing; add it\n\
         cassandra.yaml:7: specs[0].endpointSelector: has no value; write one, or leave the field out\n\
         cassandra.yaml:8: specs[0].matchLabels: does not belong here; it belongs in a selector, such as `endpointSelector`"
    );
}

#[test]
fn the_misindented_cassandra_policy_closes_its_namespace() {
    let world = World::new(readings("cassandra.yaml", SEED_003)).with(1, "app=empire-outpost");
    let here = world.slice("app=cass-server,k8s:io.kubernetes.pod.namespace=default");
    let there = world.slice("app=cass-server");
    assert_eq!(admission(&here, 9042, Some(1)), "denied");
    assert_eq!(admission(&there, 9042, Some(1)), "open");
}
