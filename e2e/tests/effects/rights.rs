//! Random policies, compiled the way agent and sidecar do it, and what they
//! allow by a second and simpler reading.

use fastrand::Rng;
use remora_parsers::Request;
use remora_policy::{Slice, TrafficDirection};

use super::oracle::{Effect, Effects};
use crate::slice;

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
    /// `binary`, or what is none.
    protocol: Option<&'static str>,
}

const COMMANDS: [&str; 20] = [
    "get",
    "gets",
    "gat",
    "set",
    "add",
    "replace",
    "append",
    "prepend",
    "cas",
    "delete",
    "incr",
    "decr",
    "touch",
    "me",
    "storage",
    "writeGroup",
    "readWriteGroup",
    "readWriteGroup",
    "noop",
    "version",
];

const KEYS: [(&str, &str); 9] = [
    ("keyPrefix", "pub:"),
    ("keyPrefix", "pub:"),
    ("keyPrefix", "pub"),
    ("keyPrefix", "sec:1"),
    ("keyExact", "pub:0"),
    ("keyExact", "sec:0"),
    ("keyRegex", "pub:[0-9]"),
    ("keyRegex", ".*:0"),
    // What `sec` looks like in base64: no key of ours begins so.
    ("keyPrefix", "c2"),
];

impl RandomPolicy {
    pub(crate) fn generate(random: &mut Rng) -> Self {
        let mut rules = Vec::new();
        if random.u8(..) < 225 {
            rules.push(Rule::new("get", "pub:"));
        }
        if random.u8(..) < 180 {
            let command = ["writeGroup", "set", "storage", "readWriteGroup"];
            rules.push(Rule::new(random.choice(&command).expect("some"), "pub:"));
        }
        for _ in 0..random.usize(0..=2) {
            let command = *random.choice(&COMMANDS).expect("some");
            let keyless = matches!(command, "version" | "noop");
            let key = (!keyless).then(|| *random.choice(&KEYS).expect("some"));
            let protocol = match (random.u8(..8), command) {
                (0, "get" | "set" | "writeGroup") => Some("binary"),
                (1, "get" | "set" | "writeGroup") => Some("text"),
                (2, "get" | "set" | "writeGroup") => Some("meta"),
                _ => None,
            };
            rules.push(Rule { command, key, protocol });
        }
        if rules.is_empty() {
            rules.push(Rule { command: "version", key: None, protocol: None });
        }
        let yaml = to_yaml(&rules);
        let slice = slice::compile(&yaml, "app=memcached", CLIENT);
        Self { yaml, rules, slice }
    }

    /// What the real policy code says of a request.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        self.slice
            .request(TrafficDirection::Ingress, PORT, Some(CLIENT), "memcache", request)
            .is_forwarded()
    }

    /// The first effect that no rule allows on a connection that began so.
    pub(crate) fn violation(&self, effects: &Effects, binary: bool) -> Option<String> {
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
                Effect::Read => &["get", "gets", "gat", "gats", "touch"],
                Effect::Written => {
                    &["set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "delete"]
                }
                Effect::Touched => &["touch", "gat", "gats", "set", "add", "replace", "cas"],
                // A value can also be stored with an expiry that has passed.
                Effect::Gone => &["delete", "set", "add", "replace", "cas", "touch", "gat", "gats"],
                Effect::Told => &["me"],
            };
            let allowed = self.rules.iter().any(|rule| {
                rule.is_about(binary) && rule.covers_one_of(commands) && rule.key_matches(key)
            });
            (!allowed).then(|| format!("{key}: {effect:?}, and no rule allows that"))
        })
    }
}

impl Rule {
    fn new(command: &'static str, prefix: &'static str) -> Self {
        Self { command, key: Some(("keyPrefix", prefix)), protocol: None }
    }

    fn is_about(&self, binary: bool) -> bool {
        self.protocol.is_none_or(|protocol| (protocol == "binary") == binary)
    }

    fn covers_one_of(&self, commands: &[&str]) -> bool {
        const STORAGE: [&str; 8] =
            ["set", "add", "replace", "append", "prepend", "cas", "incr", "decr"];
        let writes =
            |command: &str| STORAGE.contains(&command) || matches!(command, "delete" | "touch");
        commands.iter().any(|command| match self.command {
            "get" => matches!(*command, "get" | "gets"),
            "gat" => matches!(*command, "gat" | "gats"),
            "storage" => STORAGE.contains(command),
            "writeGroup" => writes(command),
            "readWriteGroup" => {
                writes(command) || matches!(*command, "get" | "gets" | "gat" | "gats")
            }
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
        if let Some(protocol) = rule.protocol {
            yaml += &format!("          protocol: {protocol}\n");
        }
    }
    yaml
}
