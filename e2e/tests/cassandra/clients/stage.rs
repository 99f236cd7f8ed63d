//! A node with an agent, a Cassandra behind a sidecar, and a client's pod.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use remora_injector::{AgentAddress, InjectConfig, inject};
use remora_netns::{Image, Images, Node, Pod, Process, report_to};
use serde_json::{Value, json};

use crate::server::{Cassandra, PORT, home};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a driver asks of the system to find its way, and nothing else.
const SYSTEM: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: cassandra}
spec:
  endpointSelector: {matchLabels: {app: cassandra}}
  ingress:
  - fromEndpoints:
    - matchLabels: {role: client}
    toPorts:
    - ports: [{port: "9042", protocol: TCP}]
      rules:
        l7proto: cassandra
        l7:
        - {query_action: select, query_table: 'system\..*'}
        - {query_action: select, query_table: 'system_schema\..*'}
        - {query_action: select, query_table: 'system_virtual_schema\..*'}
"#;

/// And what a day's work takes.
const DAY: &str = r#"
        - {query_table: 'day\..*'}
        - {query_table: 'system_traces\..*', query_action: select}
        - {query_action: use, query_table: day}
        - {query_action: create-keyspace, query_table: day}
        - {query_action: drop-keyspace, query_table: day}
        - {query_action: create-index, query_table: 'day\..*'}
        - {query_action: create-materialized-view, query_table: 'day\..*'}
        - {query_action: drop-materialized-view, query_table: 'day\..*'}
        - {query_action: create-type}
        - {query_action: describe}
"#;

/// From where an operation is done.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Direct,
    Sidecar,
}

/// A server, and two ways to it.
pub(super) struct Ways {
    _server: Cassandra,
    pod: Pod,
    client: Pod,
    manifests: PathBuf,
    _agent: Process,
    _node: Node,
}

impl Ways {
    /// A server whose policy allows the day's operations.
    pub(super) fn allowing() -> Self {
        let test = std::env::current_exe().expect("a path");
        let bin = test.ancestors().nth(2).expect("target/PROFILE");
        let images =
            Images::new().with("idle", Image::distro(&["sleep", "infinity"])).with_remora(bin);
        let node = Node::with_shim(images, &bin.join("remora-shim")).expect("a node");
        let folder = |name: &str| {
            let path = node.work_dir().join(name);
            fs::create_dir(&path).expect("a directory");
            path
        };
        let (manifests, sockets) = (folder("manifests"), folder("sockets"));
        fs::write(manifests.join("policy.yaml"), format!("{}{DAY}", SYSTEM.trim_end()))
            .expect("written");
        let agent = start_agent(&node, bin, &manifests, &sockets);
        let run = |manifest: &Value| {
            node.run_pod(manifest, report_to(&manifests)).unwrap_or_else(|error| {
                panic!("{error}\nthe agent's log:\n{}", agent.logs());
            })
        };
        let client = run(&manifest("client", &json!({"role": "client"})));
        let config = InjectConfig { agent: AgentAddress::Sockets(sockets), ..Default::default() };
        let injected = inject(&manifest("cassandra", &json!({"app": "cassandra"})), &config);
        let pod = run(&injected.expect("injectable"));
        let mut server = pod.enter_network(|| Cassandra::spawn(pod.ipv4())).expect("entered");
        server.await_listening(|| pod.connect(SocketAddr::from((pod.ipv4(), PORT))));
        Self { _server: server, pod, client, manifests, _agent: agent, _node: node }
    }

    /// From now on only the system's tables may be read.
    pub(super) fn deny(&self) {
        let path = self.manifests.join("policy.yaml");
        fs::write(self.manifests.join(".new"), SYSTEM).expect("written");
        fs::rename(self.manifests.join(".new"), path).expect("renamed");
        let deadline = Instant::now() + PATIENCE;
        let script = "SELECT * FROM day.denied";
        while !super::cqlsh(self, Way::Sidecar, script).contains("Unauthorized") {
            assert!(Instant::now() < deadline, "the policy does not arrive");
        }
    }

    /// What a Python script prints and exits with; `HOST` stands for the server.
    pub(super) fn python(&self, way: Way, argv: &[&str]) -> String {
        let host = self.pod.ipv4().to_string();
        let pod = match way {
            Way::Direct => &self.pod,
            Way::Sidecar => &self.client,
        };
        let words = argv.iter().map(|word| word.replace("HOST", &host));
        let mut python = Command::new(home().join("python/bin/python"));
        python.args(words).env("CQLSH_NO_BUNDLED", "true").stdin(Stdio::null());
        let output = pod.enter_network(|| python.output()).expect("entered").expect("it runs");
        let code = output.status.code().unwrap_or(-1);
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        format!("{}exit {code}", String::from_utf8_lossy(&text)).replace(&host, "HOST")
    }
}

fn start_agent(node: &Node, bin: &Path, manifests: &Path, sockets: &Path) -> Process {
    let program = bin.join("remora-agent");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (program, manifests, sockets) = (path(&program), path(manifests), path(sockets));
    let argv = [program.as_str(), "--dir", &manifests, "--sockets", &sockets];
    node.start_process("agent", &argv, &[]).expect("the agent starts")
}

fn manifest(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{
            "name": "app", "image": "idle",
            "securityContext": {"runAsUser": 65534, "runAsGroup": 65534},
        }]},
    })
}
