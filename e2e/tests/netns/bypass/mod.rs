//! Ways around the redirection, each with the outcome that the README promises
//! (threats B7): what holds, and what can't.

mod older;
mod privileges;
mod sockets;

use std::net::IpAddr;

use remora_netns::Pod;
use serde_json::{Value, json};

use crate::egress::POLICY;
use crate::stage::{MEMCACHED, Stage};

const PACKETS: &str = include_str!("packets.py");

/// A caller that may not reach `shut`.
struct Walled {
    stage: Stage,
    caller: Pod,
    shut: Pod,
}

impl Walled {
    /// The caller's container has this security context.
    fn set(security: &Value) -> Self {
        let stage = Stage::set();
        stage.write_policy("caller.yaml", POLICY);
        let shut = stage.server("shut");
        let caller =
            stage.caller(|pod| pod["spec"]["containers"][0]["securityContext"] = security.clone());
        Self { stage, caller, shut }
    }

    /// What the app's container prints when it sends `kind` to the server.
    fn sends(&self, prefix: &[&str], kind: &str, to: IpAddr, argument: &str) -> String {
        let (to, port) = (to.to_string(), MEMCACHED.to_string());
        let python = ["python3", "-c", PACKETS, kind, &to, &port, argument];
        let output = self.caller.exec("app", &[prefix, &python].concat()).expect("it runs");
        format!("{}{}", output.stdout, output.stderr).trim().to_owned()
    }

    /// What becomes of a connection to each of the server's addresses.
    fn connects(&self, prefix: &[&str]) -> [String; 2] {
        [self.shut.ipv4().into(), self.shut.ipv6().into()]
            .map(|to| self.sends(prefix, "connect", to, ""))
    }
}

/// As a container gets it that says nothing: root with a runtime's defaults.
fn root() -> Value {
    json!({})
}

/// How many packets have come to a rule, of those that a table's listing shows.
fn packets(pod: &Pod, table: &str, chain: &str, rule: &str) -> u64 {
    let listing = pod
        .netns_exec(&["iptables", "-t", table, "-nvxL", chain])
        .expect("root may look at rules")
        .stdout;
    let line = listing.lines().find(|line| line.contains(rule));
    let line = line.unwrap_or_else(|| panic!("no {rule} in {listing}"));
    line.split_whitespace().next().expect("a count").parse().expect("a number")
}
