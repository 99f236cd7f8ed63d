//! Random policies, compiled the way agent and sidecar do it, and what they
//! allow by a second and simpler reading.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use fastrand::Rng;
use remora_parsers::{Registry, Request};
use remora_policy::{Endpoint, Labels, PolicySet, Slice, TrafficDirection, encode, read_policy};

use super::oracle::{Effect, Effects};

const PORT: u16 = 11211;
const CLIENT: u32 = 1000;

pub(crate) struct RandomPolicy {
    pub(crate) yaml: String,
    rules: Vec<Rule>,
    slice: Slice,
}

struct Rule {
    command: &'static str,
    key: Option<(&'static str, &'static str)>,
}

const COMMANDS: [&str; 11] = [
    "get",
    "gets",
    "set",
    "add",
    "replace",
    "delete",
    "incr",
    "decr",
    "storage",
    "writeGroup",
    "version",
];

const KEYS: [(&str, &str); 8] = [
    ("keyPrefix", "pub:"),
    ("keyPrefix", "pub:"),
    ("keyPrefix", "pub"),
    ("keyPrefix", "sec:1"),
    ("keyExact", "pub:0"),
    ("keyExact", "sec:0"),
    ("keyRegex", "pub:[0-9]"),
    ("keyRegex", ".*:0"),
];

impl RandomPolicy {
    pub(crate) fn generate(random: &mut Rng) -> Self {
        let mut rules = Vec::new();
        if random.u8(..) < 225 {
            rules.push(Rule { command: "get", key: Some(("keyPrefix", "pub:")) });
        }
        if random.u8(..) < 180 {
            let command = *random.choice(&["writeGroup", "set", "storage"]).expect("some");
            rules.push(Rule { command, key: Some(("keyPrefix", "pub:")) });
        }
        for _ in 0..random.usize(0..=2) {
            let command = *random.choice(&COMMANDS).expect("some");
            let key = (command != "version").then(|| *random.choice(&KEYS).expect("some"));
            rules.push(Rule { command, key });
        }
        if rules.is_empty() {
            rules.push(Rule { command: "version", key: None });
        }
        let yaml = to_yaml(&rules);
        let slice = compile(&yaml);
        Self { yaml, rules, slice }
    }

    /// What the real policy code says of a request.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        self.slice
            .request(TrafficDirection::Ingress, PORT, Some(CLIENT), "memcache", request)
            .is_forwarded()
    }

    /// The first effect that no rule allows.
    pub(crate) fn violation(&self, effects: &Effects) -> Option<String> {
        if effects.flushed {
            return Some("the cache was flushed".into());
        }
        if effects.admin_reply {
            return Some("the server answered an administrator's command".into());
        }
        if effects.version_reply && !self.rules.iter().any(|rule| rule.command == "version") {
            return Some("the server told its version".into());
        }
        effects.keys.iter().find_map(|(key, effect)| {
            let commands: &[&str] = match effect {
                Effect::Read => &["get", "gets"],
                Effect::Written => &["set", "add", "replace", "incr", "decr"],
                // A value can also be stored with an expiry that has passed.
                Effect::Gone => &["delete", "set", "add", "replace"],
            };
            let allowed =
                self.rules.iter().any(|rule| rule.covers_one_of(commands) && rule.key_matches(key));
            (!allowed).then(|| format!("{key}: {effect:?}, and no rule allows that"))
        })
    }
}

impl Rule {
    fn covers_one_of(&self, commands: &[&str]) -> bool {
        const STORAGE: [&str; 5] = ["set", "add", "replace", "incr", "decr"];
        commands.iter().any(|command| match self.command {
            "get" => matches!(*command, "get" | "gets"),
            "storage" => STORAGE.contains(command),
            "writeGroup" => STORAGE.contains(command) || *command == "delete",
            single => *command == single,
        })
    }

    fn key_matches(&self, key: &str) -> bool {
        match self.key {
            None => true,
            Some(("keyPrefix", prefix)) => key.starts_with(prefix),
            Some(("keyExact", exact)) => key == exact,
            // The two patterns above, by hand.
            Some((_, "pub:[0-9]")) => key
                .strip_prefix("pub:")
                .is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit()),
            Some(_) => key.ends_with(":0"),
        }
    }
}

fn to_yaml(rules: &[Rule]) -> String {
    let mut yaml = String::from(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: random}\nspec:\n  \
         endpointSelector: {matchLabels: {app: memcached}}\n  ingress:\n  - fromEndpoints:\n    - \
         matchLabels: {app: client}\n    toPorts:\n    - ports: [{port: \"11211\", protocol: TCP}]\n      \
         rules:\n        l7proto: memcache\n        l7:\n",
    );
    for rule in rules {
        yaml += &format!("        - command: {}\n", rule.command);
        if let Some((name, value)) = rule.key {
            yaml += &format!("          {name}: \"{value}\"\n");
        }
    }
    yaml
}

fn compile(yaml: &str) -> Slice {
    let document = remora_manifest::read(yaml, Path::new("random.yaml")).remove(0).expect("YAML");
    let mut policies = PolicySet::default();
    policies.insert(read_policy(&document, Registry::BUILT_IN));
    assert_eq!(policies.refused().count(), 0, "{yaml}");
    let server = Labels::parse("app=memcached").expect("labels");
    let client = Labels::parse("app=client").expect("labels");
    let ips = [IpAddr::from([192, 0, 2, 1])];
    let endpoint = Endpoint { id: 1, ips: &ips, labels: &server };
    let encoded = encode(&policies, &endpoint, &BTreeMap::from([(CLIENT, client)]));
    Slice::compile(&encoded.policy, Registry::BUILT_IN).expect("a slice")
}
