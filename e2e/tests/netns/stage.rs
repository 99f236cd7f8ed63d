//! A node with an agent, and pods from manifests.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use remora_injector::{
    AgentAddress, InjectConfig, ProxyMode, SIDECAR_CONTAINER as SIDECAR, inject,
};
use remora_netns::{Image, Images, Node, Pod, Process, report_to};
use serde_json::{Value, json};

use crate::node_mode::{self, NodeProxy};

/// How long a condition may take to come true on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const MEMCACHED: u16 = 11211;

/// Only `role: client` may connect, and only get what starts with `pub:`.
pub(crate) const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: cache}
spec:
  endpointSelector: {matchLabels: {app: cache}}
  ingress:
  - fromEndpoints:
    - matchLabels: {role: client}
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
      rules:
        l7proto: memcache
        l7:
        - command: get
          keyPrefix: "pub:"
"#;

pub(crate) struct Stage {
    pub(crate) agent: Process,
    manifests: PathBuf,
    sockets: PathBuf,
    /// The node's proxy, where pods have none.
    pub(crate) proxy: Option<NodeProxy>,
    node: Node,
}

impl Stage {
    /// A node and its agent; no pod, no policy.
    pub(crate) fn set() -> Self {
        let bin = bin();
        let images = Images::new()
            .with("memcached", Image::distro(&["memcached"]))
            .with("idle", Image::distro(&["sleep", "infinity"]))
            .with_remora(&bin);
        let node = Node::with_shim(images, &bin.join("remora-shim")).expect("a node");
        let (manifests, sockets) =
            (node.work_dir().join("manifests"), node.work_dir().join("sockets"));
        fs::create_dir(&manifests).expect("a directory");
        fs::create_dir(&sockets).expect("a directory");
        let agent = start_agent(&node, &manifests, &sockets);
        let proxy = node_mode::is_on().then(|| NodeProxy::start(&node, &sockets));
        Self { agent, manifests, sockets, proxy, node }
    }

    /// Starts the agent anew; the old one is killed.
    pub(crate) fn restart_agent(&mut self) {
        self.kill_agent();
        self.agent = start_agent(&self.node, &self.manifests, &self.sockets);
    }

    pub(crate) fn kill_agent(&self) {
        self.agent.signal(remora_netns::Signal::KILL);
        self.agent.wait(PATIENCE).expect("the agent ends");
    }

    /// Writes a policy as an operator's tool would: whole, by rename.
    pub(crate) fn write_policy(&self, file: &str, text: &str) {
        let (temporary, path) =
            (self.manifests.join(format!(".{file}.tmp")), self.manifests.join(file));
        fs::write(&temporary, text).expect("written");
        fs::rename(temporary, path).expect("renamed");
    }

    pub(crate) fn delete_policy(&self, file: &str) {
        fs::remove_file(self.manifests.join(file)).expect("deleted");
    }

    /// An injected memcached with `app: cache`, started with these arguments.
    pub(crate) fn cache(&self, arguments: &[&str]) -> Pod {
        self.cache_with(arguments, &json!({}))
    }

    /// The same with annotations.
    pub(crate) fn cache_with(&self, arguments: &[&str], annotations: &Value) -> Pod {
        let mut manifest = pod("cache", &json!({"app": "cache"}), "memcached", arguments);
        manifest["metadata"]["annotations"] = annotations.clone();
        listening(self.run_injected(&manifest))
    }

    /// A memcached without a sidecar, whose `app` label is its name.
    pub(crate) fn server(&self, name: &str) -> Pod {
        self.server_of(name, name)
    }

    /// The same with another `app` label. Its port has the name `cache`.
    pub(crate) fn server_of(&self, name: &str, app: &str) -> Pod {
        let mut manifest = pod(name, &json!({"app": app}), "memcached", &[]);
        manifest["spec"]["containers"][0]["ports"] =
            json!([{"name": "cache", "containerPort": MEMCACHED}]);
        listening(self.run(&manifest))
    }

    /// An injected pod from which tests connect, after `change`.
    pub(crate) fn caller(&self, change: impl FnOnce(&mut Value)) -> Pod {
        let mut manifest = pod("caller", &json!({"app": "caller"}), "idle", &[]);
        change(&mut manifest);
        self.run_injected(&manifest)
    }

    fn run_injected(&self, manifest: &Value) -> Pod {
        self.run(&self.inject(manifest))
    }

    fn inject(&self, manifest: &Value) -> Value {
        let agent = AgentAddress::Sockets(self.sockets.clone());
        let mode = if node_mode::is_on() { ProxyMode::Node } else { ProxyMode::Sidecar };
        let config = InjectConfig { mode, agent, ..Default::default() };
        inject(manifest, &config).expect("injectable")
    }

    /// The manifest of such a pod.
    pub(crate) fn injected_cache(&self, arguments: &[&str]) -> Value {
        self.injected("cache", arguments)
    }

    /// The same under another name.
    pub(crate) fn injected(&self, name: &str, arguments: &[&str]) -> Value {
        self.inject(&pod(name, &json!({"app": "cache"}), "memcached", arguments))
    }

    /// Where the agent serves a pod of the default namespace.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.sockets.join(format!("default_{name}")).join("agent.sock")
    }

    /// A pod without a sidecar, from which tests connect.
    pub(crate) fn client(&self, name: &str, labels: &Value) -> Pod {
        self.run(&pod(name, labels, "idle", &[]))
    }

    /// A client that [`POLICY`] allows, and one that it does not know.
    pub(crate) fn client_and_outsider(&self) -> (Pod, Pod) {
        (
            self.client("client", &json!({"role": "client"})),
            self.client("outsider", &json!({"role": "other"})),
        )
    }

    /// Connects and asks as a process of the node does, such as the kubelet.
    pub(crate) fn ask_from_node(&self, to: SocketAddr, request: &str) -> Answer {
        answered(self.node.connect(to), request)
    }

    pub(crate) fn run(&self, manifest: &Value) -> Pod {
        let report = report_to(&self.manifests);
        let run = match &self.proxy {
            Some(proxy) => proxy.run_pod(&self.node, manifest, report),
            None => self.node.run_pod(manifest, report),
        };
        run.unwrap_or_else(|error| {
            let proxy = self.proxy.as_ref().map(NodeProxy::said).unwrap_or_default();
            panic!("{error}\nthe agent's log:\n{}\nthe proxy's:\n{proxy}", self.agent.logs());
        })
    }

    /// What a pod's proxy has logged of the pod's traffic.
    pub(crate) fn access_log(&self, pod: &Pod) -> String {
        match &self.proxy {
            Some(proxy) => proxy.access_log(pod),
            None => pod.logs(SIDECAR).expect("a sidecar's log"),
        }
    }

    /// The records of that.
    pub(crate) fn access_entries(&self, pod: &Pod) -> Vec<Value> {
        let log = self.access_log(pod);
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Kills a pod's proxy, which is started again.
    pub(crate) fn kill_proxy(&self, pod: &Pod) {
        match &self.proxy {
            Some(proxy) => proxy.restart(&self.node),
            None => pod.kill(SIDECAR, remora_netns::Signal::KILL).expect("killed"),
        }
    }

    /// Waits until a pod's proxy is ready after it was killed once.
    pub(crate) fn await_proxy(&self, pod: &Pod) {
        match &self.proxy {
            Some(_) => eventually("the proxy is ready", || self.is_ready(pod)),
            None => pod.wait_restarted(SIDECAR, 1, PATIENCE).expect("ready again"),
        }
    }

    /// Whether a pod's proxy says that it has its policy.
    pub(crate) fn is_ready(&self, pod: &Pod) -> bool {
        match &self.proxy {
            Some(_) => NodeProxy::is_ready(pod),
            None => pod.ready(SIDECAR).expect("a sidecar"),
        }
    }

    /// That a pod's proxy has not ended so far.
    pub(crate) fn assert_no_restart(&self, pod: &Pod) {
        match &self.proxy {
            Some(proxy) => proxy.assert_runs(),
            None => assert_eq!(pod.restarts(SIDECAR).expect("a sidecar"), 0),
        }
    }

    pub(crate) fn manifests(&self) -> &Path {
        &self.manifests
    }
}

pub(crate) fn listening(server: Pod) -> Pod {
    let loopback = SocketAddr::from(([127, 0, 0, 1], MEMCACHED));
    eventually("memcached listens", || server.connect(loopback).is_ok());
    server
}

fn start_agent(node: &Node, manifests: &Path, sockets: &Path) -> Process {
    let program = bin().join("remora-agent");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (program, manifests, sockets) = (path(&program), path(manifests), path(sockets));
    let argv = [program.as_str(), "--dir", &manifests, "--sockets", &sockets];
    node.start_process("agent", &argv, &[]).expect("the agent starts")
}

/// Where the built programs lie: tests run in `deps/` below it.
pub(crate) fn bin() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    test.ancestors().nth(2).expect("target/PROFILE").to_owned()
}

/// A pod of one container.
pub(crate) fn pod(name: &str, labels: &Value, image: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{
            "name": "app", "image": image, "args": arguments,
            "securityContext": {"runAsUser": 65534, "runAsGroup": 65534},
        }]},
    })
}

/// What an exchange ended in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(String),
    Reset,
    Closed,
    Refused,
}

/// Connects from `pod`, sends, and reads until `END`, an error line or the end.
pub(crate) fn ask(pod: &Pod, to: SocketAddr, request: &str) -> Answer {
    answered(pod.connect(to), request)
}

fn answered(connected: io::Result<TcpStream>, request: &str) -> Answer {
    match connected {
        Ok(mut stream) => exchange(&mut stream, request),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Answer::Reset,
        Err(error) => panic!("connecting: {error}"),
    }
}

pub(crate) fn exchange(stream: &mut TcpStream, request: &str) -> Answer {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    if stream.write_all(request.as_bytes()).is_err() {
        return Answer::Reset;
    }
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Answer::Closed,
            Ok(n) => text += &String::from_utf8_lossy(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Answer::Reset,
            Err(error) => panic!("waiting for an answer to {request:?}: {error}"),
        }
        if text.ends_with("END\r\n") || text.contains("ERROR") || text.ends_with("STORED\r\n") {
            return Answer::Text(text);
        }
    }
}

/// What an allowed `get` of an empty cache ends in.
pub(crate) fn miss() -> Answer {
    Answer::Text("END\r\n".to_owned())
}

pub(crate) fn denied() -> Answer {
    Answer::Text("CLIENT_ERROR access denied\r\n".to_owned())
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

/// One of memcached's own counters, asked inside its pod over loopback, which
/// is neither redirected nor judged.
pub(crate) fn stat(cache: &Pod, name: &str) -> u64 {
    let address = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), MEMCACHED);
    let mut stream = cache.connect(address).expect("memcached listens on loopback");
    let Answer::Text(stats) = exchange(&mut stream, "stats\r\n") else { panic!("no stats") };
    let value = stats.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}
