//! Ordinary clients notice nothing of a sidecar whose policy allows what they
//! do: a day's operations give the same, from inside the server's pod over
//! loopback, which passes no sidecar, and from another pod through it. Where
//! policy denies, each client reports the protocol's own error.

mod pipelining;
mod python;
mod tools;

use std::net::SocketAddr;

use remora_netns::Pod;
use serde_json::json;

use crate::stage::{MEMCACHED, POLICY, Stage, ask, denied, eventually, stat};

/// What an app is given that keeps its sessions in this cache.
const ALLOWED: &str = r#"
        - {command: readWriteGroup, keyPrefix: "day:"}
        - {command: noop}
        - {command: version}
        - {command: stats}
        - {command: flush_all}
        - {command: quit}
"#;

/// A server, and two ways to it.
struct Ways {
    stage: Stage,
    cache: Pod,
    client: Pod,
}

/// From where an operation is done.
#[derive(Clone, Copy)]
enum Way {
    Direct,
    Sidecar,
}

impl Ways {
    /// A cache whose policy allows the day's operations.
    fn allowing() -> Self {
        let stage = Stage::set();
        let (head, _) = POLICY.split_once("        - command:").expect("rules");
        stage.write_policy("cache.yaml", &format!("{}{ALLOWED}", head.trim_end()));
        let client = stage.client("client", &json!({"role": "client"}));
        let cache = stage.cache(&[]);
        Self { stage, cache, client }
    }

    /// What `work` gives while policy denies whatever the day holds. Nothing of
    /// it comes to the server.
    fn denied<T>(&self, work: impl FnOnce() -> T) -> T {
        self.stage.write_policy("cache.yaml", &POLICY.replace("pub:", "other:"));
        let address = self.address(Way::Sidecar);
        eventually("it denies", || ask(&self.client, address, "get day:one\r\n") == denied());
        let counts = ["cmd_get", "cmd_set", "cmd_touch", "cmd_meta", "cmd_flush"];
        let count = || counts.map(|name| stat(&self.cache, name));
        let before = count();
        let outcome = work();
        assert_eq!(before, count(), "{counts:?} of the server, before and after");
        outcome
    }

    fn pod(&self, way: Way) -> &Pod {
        match way {
            Way::Direct => &self.cache,
            Way::Sidecar => &self.client,
        }
    }

    fn address(&self, way: Way) -> SocketAddr {
        match way {
            Way::Direct => ([127, 0, 0, 1], MEMCACHED).into(),
            Way::Sidecar => (self.cache.ipv4(), MEMCACHED).into(),
        }
    }

    /// What a program of this machine prints and exits with, the server's
    /// address left out. Each `HOST` and `PORT` in `argv` stands for it.
    fn run(&self, way: Way, argv: &[&str]) -> String {
        let address = self.address(way);
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let argv: Vec<String> =
            argv.iter().map(|word| word.replace("HOST", &host).replace("PORT", &port)).collect();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = self.pod(way).netns_exec(&argv).expect("`cargo xtask setup` installs it");
        format!("{}{}exit {}", output.stdout, output.stderr, output.code).replace(&host, "HOST")
    }
}
