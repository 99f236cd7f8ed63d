//! What is refused: named with file, line, field and remedy, and still closed.

use crate::common::{World, admission, errors, policy, warnings};

pub(crate) const LATER: &str =
    "is not supported yet; as long as it stands here, what the policy selects is closed";
const NO_VALUE: &str = "has no value; write one, or leave the field out";

/// Ingress rules that are refused, each with field and message. The rule stands
/// in line 7.
const INGRESS: &[(&str, &str)] = &[
    ("~", ": has no value; write `{}` for default deny"),
    ("[]", ": expected a map, found a list; write a map"),
    ("{fromEndpoint: []}", ".fromEndpoint: is not a known field; did you mean `fromEndpoints`?"),
    ("{endpointSelector: {}}", ".endpointSelector: does not belong here; it belongs in `spec`"),
    ("{fromEndpoints: ~}", ".fromEndpoints: {NO_VALUE}"),
    ("{fromEndpoints: {}}", ".fromEndpoints: expected a list, found a map; write a list"),
    (
        "{fromEntities: [globe]}",
        ".fromEntities[0]: is no entity; did you mean `none`? (known: all, cluster, world, world-ipv4, world-ipv6, host, remote-node, kube-apiserver, init, ingress, health, unmanaged, none)",
    ),
    (
        "{fromEntities: [7]}",
        ".fromEntities[0]: expected a string, found a number; put it in quotes",
    ),
    (
        "{fromEntities: [world], fromCIDR: [10.0.0.0/8]}",
        ".fromCIDR: stands beside `fromEntities`; write a rule for each of them",
    ),
    (
        "{fromCIDR: [10.0.0.0/33]}",
        ".fromCIDR[0]: is no range of addresses; write one such as 10.1.0.0/16",
    ),
    (
        "{fromCIDRSet: [{}]}",
        ".fromCIDRSet[0]: has to have one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`",
    ),
    (
        "{fromCIDRSet: [{cidr: 10.0.0.0/8, cidrGroupRef: g}]}",
        ".fromCIDRSet[0]: has to have one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`",
    ),
    (
        "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}]}",
        ".fromCIDRSet[0]: `except` names 11.0.0.0/16, which is not in 10.0.0.0/8; remove it",
    ),
    (
        "{fromCIDRSet: [{cidr: 10.0.0.0/8, excepts: []}]}",
        ".fromCIDRSet[0].excepts: is not a known field; did you mean `except`?",
    ),
    ("{toEndpoints: []}", ".toEndpoints: does not belong here; it belongs in an entry of `egress`"),
    (
        "{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: one}}]}",
        ".fromEndpoints[0].matchLabels[\"io.cilium.k8s.policy.cluster\"]: names clusters of a mesh, which are not known here; remove it",
    ),
    ("{fromNodes: []}", ".fromNodes: {LATER}"),
    ("{fromGroups: []}", ".fromGroups: {LATER}"),
    ("{fromRequires: []}", ".fromRequires: {LATER}"),
    ("{icmps: []}", ".icmps: {LATER}"),
    ("{authentication: {mode: required}}", ".authentication: {LATER}"),
    ("{toPorts: ~}", ".toPorts: {NO_VALUE}"),
    ("{toPorts: []}", ".toPorts: is empty; leave it out to mean every port"),
    ("{toPorts: [{}]}", ".toPorts[0]: has no `ports`; add at least one"),
    ("{toPorts: [{ports: ~}]}", ".toPorts[0].ports: {NO_VALUE}"),
    ("{toPorts: [{ports: []}]}", ".toPorts[0].ports: is empty; add at least one port"),
    ("{toPorts: [{ports: [{}]}]}", ".toPorts[0].ports[0]: has no `port`; add a number in quotes"),
    (
        "{toPorts: [{ports: [{port: 80}]}]}",
        ".toPorts[0].ports[0].port: expected a string, found a number; put it in quotes",
    ),
    (
        "{toPorts: [{ports: [{port: '65536'}]}]}",
        ".toPorts[0].ports[0].port: is no port; write a number from 0 to 65535, or a port's name",
    ),
    (
        "{toPorts: [{ports: [{port: '080'}]}]}",
        ".toPorts[0].ports[0].port: is no port; write a number from 0 to 65535, or a port's name",
    ),
    (
        "{toPorts: [{ports: [{port: '+80'}]}]}",
        ".toPorts[0].ports[0].port: is no port; write a number from 0 to 65535, or a port's name",
    ),
    (
        "{toPorts: [{ports: [{port: a--b}]}]}",
        ".toPorts[0].ports[0].port: is no port; write a number from 0 to 65535, or a port's name",
    ),
    (
        "{toPorts: [{ports: [{port: http, endPort: 90}]}]}",
        ".toPorts[0].ports[0].endPort: ends a range that begins with a name; write numbers",
    ),
    (
        "{toPorts: [{ports: [{port: '80', endPort: 79}]}]}",
        ".toPorts[0].ports[0].endPort: is no end of a range that begins with 80; write a port from there on",
    ),
    (
        "{toPorts: [{ports: [{port: '0', endPort: 79}]}]}",
        ".toPorts[0].ports[0].endPort: is no end of a range that begins with 0; write a port from there on",
    ),
    (
        "{toPorts: [{ports: [{port: '80', endPort: 65536}]}]}",
        ".toPorts[0].ports[0].endPort: is no end of a range that begins with 80; write a port from there on",
    ),
    (
        "{toPorts: [{ports: [{port: '0'}], rules: {l7proto: r2d2, l7: [{}]}}]}",
        ".toPorts[0]: has `rules` for every port; name the ports that speak the protocol",
    ),
    (
        "{toPorts: [{ports: [{port: '80', protocol: tcp}]}]}",
        ".toPorts[0].ports[0].protocol: is no protocol; write `TCP`",
    ),
    ("{toPorts: [{ports: [{port: '80'}], listener: {}}]}", ".toPorts[0].listener: {LATER}"),
    (
        "{toPorts: [{ports: [{port: '80'}], originatingTLS: {}}]}",
        ".toPorts[0].originatingTLS: {LATER}",
    ),
    (
        "{toPorts: [{ports: [{port: '80'}], terminatingTLS: {}}]}",
        ".toPorts[0].terminatingTLS: {LATER}",
    ),
    ("{toPorts: [{ports: [{port: '80'}], serverNames: []}]}", ".toPorts[0].serverNames: {LATER}"),
    (
        "{toPorts: [{ports: [{port: '80'}], l7proto: r2d2}]}",
        ".toPorts[0].l7proto: does not belong here; it belongs in `rules`",
    ),
];

/// L7 `rules` that are refused, likewise.
const RULES: &[(&str, &str)] = &[
    ("~", ": {NO_VALUE}"),
    (
        "{}",
        ": is empty, which is what the API server of Cilium 1.20 leaves of an L7 rule; write the rule anew, as an L7Policy, or leave `rules` out to allow every request",
    ),
    ("{http: []}", ".http: {LATER}"),
    ("{kafka: [{topic: t}]}", ".kafka: {LATER}"),
    ("{dns: []}", ".dns: {LATER}"),
    ("{l7: [{}]}", ": has `l7` but no `l7proto`; say which protocol it is"),
    ("{l7proto: ~, l7: [{}]}", ".l7proto: {NO_VALUE}"),
    ("{l7proto: 7, l7: [{}]}", ".l7proto: expected a string, found a number; put it in quotes"),
    (
        "{l7proto: memcached, l7: [{}]}",
        ".l7proto: `memcached` is no known protocol; did you mean `memcache`? (known: cassandra, memcache, r2d2)",
    ),
    ("{l7proto: r2d2, l7: ~}", ".l7: {NO_VALUE}"),
    ("{l7proto: r2d2, l7: {}}", ".l7: expected a list, found a map; write a list"),
    ("{l7proto: r2d2, l7: [~]}", ".l7[0]: has no value; write `{}` to allow every request"),
    ("{l7proto: r2d2, l7: [READ]}", ".l7[0]: expected a map, found a string; write a map"),
    (
        "{l7proto: r2d2, l7: [{files: a}]}",
        ".l7[0].files: r2d2 rules have no key `files`: did you mean `file`? (they have cmd, file)",
    ),
    (
        "{l7proto: r2d2, l7: [{cmd: REED}]}",
        ".l7[0].cmd: `REED` is no value of `cmd`: did you mean `READ`?",
    ),
    (
        "{l7proto: r2d2, l7: [{cmd: 1}]}",
        ".l7[0].cmd: expected a string, found a number; put it in quotes",
    ),
    (
        "{l7proto: r2d2, l7: [{cmd: [READ]}]}",
        ".l7[0].cmd: expected a string, found a list; write a string",
    ),
    (
        "{l7proto: r2d2, l7: [{cmd: READ, file: '('}]}",
        ".l7[0].file: `file`: not a regular expression: unclosed group",
    ),
    (
        "{l7proto: r2d2, l7: [{cmd: READ, file: }]}",
        ".l7[0].file: `file` has no value: nothing could match it; write one or leave the key out",
    ),
    (
        "{l7proto: memcache, l7: [{command: quit, keyExact: a}]}",
        ".l7[0]: `command: quit` names no key, so a rule with `keyExact` matches nothing: leave it out",
    ),
];

fn expected(line: u32, field: &str, message: &str) -> String {
    let message = message.replace("{NO_VALUE}", NO_VALUE).replace("{LATER}", LATER);
    format!("p.yaml:{line}: {field}{message}")
}

/// A pod that the policy selects is closed, and one that it does not is open.
fn closes_what_it_selects(reading: remora_policy::Reading) {
    let world = World::new([reading]).with(1, "role=a");
    assert_eq!(admission(&world.slice("app=cache"), 80, Some(1)), "denied");
    assert_eq!(admission(&world.slice("app=other"), 80, Some(1)), "open");
}

#[test]
fn ingress_rules() {
    for (rule, message) in INGRESS {
        let spec = format!("endpointSelector: {{matchLabels: {{app: cache}}}}\ningress:\n- {rule}");
        let reading = policy(&spec);
        assert_eq!(errors(&reading), expected(7, "spec.ingress[0]", message), "{rule}");
        closes_what_it_selects(reading);
    }
}

#[test]
fn l7_rules() {
    for (rules, message) in RULES {
        let spec = format!(
            "endpointSelector: {{matchLabels: {{app: cache}}}}\ningress:\n- toPorts:\n  - ports: [{{port: '80'}}]\n    rules: {rules}"
        );
        let reading = policy(&spec);
        let field = "spec.ingress[0].toPorts[0].rules";
        assert_eq!(errors(&reading), expected(9, field, message), "{rules}");
        closes_what_it_selects(reading);
    }
}

#[test]
fn fields_of_spec() {
    for (field, message) in [
        ("ingress: ~", "ingress: {NO_VALUE}"),
        (
            "ingress: []",
            "ingress: is empty; write `ingress: [{}]` for default deny, or leave it out",
        ),
        ("ingress: {}", "ingress: expected a list, found a map; write a list"),
        ("ingres: [{}]", "ingres: is not a known field; did you mean `ingress`?"),
        ("ingressDeny: []", "ingressDeny: is empty; add a rule, or leave it out"),
        (
            "enableDefaultDeny: {ingres: false}",
            "enableDefaultDeny.ingres: is not a known field; did you mean `ingress`?",
        ),
        (
            "enableDefaultDeny: {egress: 'no'}",
            "enableDefaultDeny.egress: expected a boolean, found a string; write a boolean",
        ),
        ("nodeSelector: {}", "nodeSelector: {LATER}"),
        ("log: {value: x}", "log: {LATER}"),
        ("toPorts: []", "toPorts: does not belong here; it belongs in an entry of `ingress`"),
        ("mode: enforce", "mode: is not a known field; did you mean `log`?"),
    ] {
        let reading =
            policy(&format!("endpointSelector: {{matchLabels: {{app: cache}}}}\n{field}"));
        assert_eq!(errors(&reading), expected(6, "spec.", message), "{field}");
        closes_what_it_selects(reading);
    }
}

#[test]
fn description_and_labels_of_a_spec_change_nothing() {
    let reading = policy("description: x\nlabels: [{key: a}]\nendpointSelector: {}\ningress: [{}]");
    assert!(warnings(&reading).is_empty());
}

#[test]
fn all_errors_of_a_document_are_reported() {
    let spec = "
endpointSelector: {matchLabels: {app: 1}}
ingress:
- fromEndpoints: [{matchLabel: {a: b}}]
- toPorts:
  - ports: [{port: 80}, {port: '0', protocol: UDP}]
    rules: {l7proto: nothing, l7: [{command: 1}]}
egress: []";
    let fields: Vec<_> = errors(&policy(spec))
        .lines()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(
        fields,
        [
            "p.yaml:6: spec.endpointSelector.matchLabels.app",
            "p.yaml:8: spec.ingress[0].fromEndpoints[0].matchLabel",
            "p.yaml:10: spec.ingress[1].toPorts[0].ports[0].port",
            "p.yaml:11: spec.ingress[1].toPorts[0].rules.l7proto",
            "p.yaml:12: spec.egress",
        ]
    );
}

#[test]
fn two_protocols_on_one_port_refuse_the_policy() {
    let rule = |port: u16, proto: &str| {
        format!(
            "- toPorts: [{{ports: [{{port: '{port}'}}], rules: {{l7proto: {proto}, l7: [{{}}]}}}}]\n"
        )
    };
    let spec = |ingress: String| {
        format!("endpointSelector: {{matchLabels: {{app: cache}}}}\ningress:\n{ingress}")
    };
    let reading = policy(&spec(rule(80, "memcache") + &rule(80, "r2d2")));
    assert_eq!(
        errors(&reading),
        "p.yaml:8: spec.ingress[1].toPorts[0]: another protocol than memcache, which \
         shop/p ingress[0].toPorts[0] says for the same port; a port has one"
    );
    closes_what_it_selects(reading);
    let apart = policy(&spec(rule(80, "memcache") + &rule(81, "r2d2")));
    assert!(warnings(&apart).is_empty());
}

#[test]
fn ports_of_an_entry_have_a_cap() {
    let ports = |count: u16| {
        let ports: Vec<_> = (1..=count).map(|port| format!("{{port: '{port}'}}")).collect();
        policy(&format!(
            "endpointSelector: {{}}\ningress: [{{toPorts: [{{ports: [{}]}}]}}]",
            ports.join(", ")
        ))
    };
    assert!(warnings(&ports(40)).is_empty());
    assert!(errors(&ports(41)).ends_with("has 41 ports; at most 40 are taken"));
}

#[test]
fn rules_of_a_policy_have_a_cap() {
    let rules = |count: usize| {
        let port = |n| format!("- toPorts: [{{ports: [{{port: '{}'}}]}}]\n", n + 1);
        let rules: String = (0..count).map(port).collect();
        policy(&format!("endpointSelector: {{}}\ningress:\n{rules}"))
    };
    assert!(warnings(&rules(2048)).is_empty());
    assert!(
        errors(&rules(2049))
            .ends_with("has 2049 rules for ports; at most 2048 are taken: split it")
    );
}
