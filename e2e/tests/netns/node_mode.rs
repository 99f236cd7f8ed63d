//! The tests of policy once more, with one proxy on the node instead of one in
//! each pod: the same manifests, injected for it. What the container that waits
//! for it is told stands in the endpoint's file.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::fs::chown},
    path::{Path, PathBuf},
    process,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use remora_injector::{PROXY_UID, ProxyMode, SIDECAR_CONTAINER, proxy_mode};
use remora_netns::{Job, Node, Pod, Process, Signal};
use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, bin};

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Tests of this file that run in node mode, too.
macro_rules! in_node_mode {
    ($($test:ident),+ $(,)?) => {
        mod in_node_mode {
            $(
                #[test]
                fn $test() {
                    crate::node_mode::run(super::$test);
                }
            )+
        }
    };
}
pub(crate) use in_node_mode;

/// Runs a test whose stages have a proxy on the node.
pub(crate) fn run(test: fn()) {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            ON.set(false);
        }
    }
    let _off = Off;
    ON.set(true);
    test();
}

/// Whether the calling test is run so.
pub(crate) fn is_on() -> bool {
    ON.get()
}

/// The node's proxy and its endpoints.
pub(crate) struct NodeProxy {
    process: Mutex<Process>,
    /// Where the access log goes.
    log: PathBuf,
    endpoints: PathBuf,
    /// Where each endpoint's last good policy is kept.
    state: PathBuf,
    sockets: PathBuf,
    /// By the pods' names.
    pauses: Mutex<BTreeMap<String, Pause>>,
}

/// A thread in a pod's network, as whose the proxy finds it: what a pause
/// container is to a real one. It ends when this is dropped.
struct Pause {
    path: PathBuf,
    _end: mpsc::Sender<()>,
}

impl Pause {
    fn within(network: &Path) -> io::Result<Self> {
        let network = File::open(network)?;
        let (_end, ended) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            let inside = move_into_link_name_space(network.as_fd(), kind).map(|()| gettid());
            let _ = tell.send(inside);
            let _ = ended.recv();
        });
        let thread = told.recv().map_err(io::Error::other)??;
        let path = format!("/proc/{}/task/{}/ns/net", process::id(), thread.as_raw_nonzero());
        Ok(Self { path: path.into(), _end })
    }
}

impl NodeProxy {
    /// One without endpoints.
    pub(crate) fn start(node: &Node, sockets: &Path) -> Self {
        let in_work = |name: &str| node.work_dir().join(name);
        let (endpoints, state) = (in_work("endpoints"), in_work("state"));
        for folder in [&endpoints, &state] {
            fs::create_dir(folder).expect("a directory");
        }
        chown(&state, Some(PROXY_UID), Some(PROXY_UID)).expect("given away");
        let log = in_work("access.log");
        let process = Mutex::new(launch(node, &endpoints, &log));
        let (sockets, pauses) = (sockets.to_owned(), Mutex::default());
        Self { process, log, endpoints, state, sockets, pauses }
    }

    /// Runs a pod; if it is injected, as an endpoint of this proxy.
    pub(crate) fn run_pod(
        &self,
        node: &Node,
        manifest: &Value,
        report: impl FnOnce(&Value) -> io::Result<()>,
    ) -> remora_netns::Result<Pod> {
        let Some(variables) = variables(manifest) else {
            return node.run_pod(manifest, report);
        };
        node.run_pod_with_network(manifest, |completed, network| {
            report(completed)?;
            self.write(completed, &variables, network)
        })
    }

    /// Writes the pod's endpoint, whole, by rename.
    fn write(&self, pod: &Value, variables: &[Value], network: &Path) -> io::Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&pod["metadata"]["name"]);
        let mut values: BTreeMap<_, _> = variables
            .iter()
            .map(|variable| (text(&variable["name"]), told(variable, pod)))
            .collect();
        // What the container would find in its mounts.
        let socket = self.sockets.join(format!("default_{name}/agent.sock"));
        values.insert("REMORA_AGENT".into(), format!("unix:{}", socket.display()));
        let snapshot = self.state.join(text(&pod["metadata"]["uid"]));
        values.insert("REMORA_SNAPSHOT".into(), snapshot.display().to_string());
        let pause = Pause::within(network)?;
        let endpoint = json!({"network": pause.path, "variables": values});
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), pause);
        self.place(&name, &endpoint.to_string())
    }

    fn place(&self, name: &str, text: &str) -> io::Result<()> {
        let temporary = self.endpoints.join(format!(".{name}"));
        fs::write(&temporary, text)?;
        fs::rename(temporary, self.file(name))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.endpoints.join(format!("{name}.json"))
    }

    /// Puts another text in the place of an endpoint's, or removes it; returns
    /// what was there, if anything.
    pub(crate) fn replace(&self, name: &str, text: Option<&str>) -> String {
        let before = fs::read_to_string(self.file(name)).unwrap_or_default();
        match text {
            Some(text) => self.place(name, text),
            None => fs::remove_file(self.file(name)),
        }
        .expect("the endpoint's file");
        before
    }

    /// What it has logged of a pod.
    pub(crate) fn access_log(&self, pod: &Pod) -> String {
        let name = format!("\"pod\":\"{}\"", pod.name().rsplit('/').next().unwrap_or_default());
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(&name)).map(|line| format!("{line}\n")).collect()
    }

    /// Its diagnostics.
    pub(crate) fn said(&self) -> String {
        self.process().logs()
    }

    /// Kills it, and starts it anew with the endpoints there are.
    pub(crate) fn restart(&self, node: &Node) {
        let mut process = self.process();
        process.signal(Signal::KILL);
        process.wait(PATIENCE).expect("the proxy ends");
        *process = launch(node, &self.endpoints, &self.log);
    }

    /// Asks it to stop; returns its exit code.
    pub(crate) fn stop(&self) -> i32 {
        let process = self.process();
        process.signal(Signal::TERM);
        process.wait(PATIENCE).expect("the proxy ends")
    }

    /// That it has not ended.
    pub(crate) fn assert_runs(&self) {
        assert!(self.process().wait(Duration::ZERO).is_err(), "{}", self.said());
    }

    /// Whether it says that a pod has its policy.
    pub(crate) fn is_ready(pod: &Pod) -> bool {
        let program = bin().join("remora-sidecar").display().to_string();
        pod.netns_exec(&[&program, "ready"]).is_ok_and(|output| output.code == 0)
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn launch(node: &Node, endpoints: &Path, log: &Path) -> Process {
    let program = bin().join("remora-sidecar").display().to_string();
    let folder = endpoints.display().to_string();
    // Two threads, so that endpoints on either are tested.
    let argv = [program.as_str(), "node", "--endpoints", &folder, "--threads", "2"];
    let job = Job { name: "proxy", argv: &argv, env: &[], uid: None, stdout: Some(log) };
    node.start(&job).expect("the proxy starts")
}

/// What the node's proxy is to know of a pod; none of one that it does not serve.
fn variables(pod: &Value) -> Option<Vec<Value>> {
    let containers = pod["spec"]["initContainers"].as_array()?;
    let waiting = containers.iter().find(|one| one["name"] == SIDECAR_CONTAINER)?;
    assert_eq!(proxy_mode(pod), Some(ProxyMode::Node), "{pod}");
    waiting["env"].as_array().cloned()
}

/// A variable's value, with the fields of the pod that it asks for.
fn told(variable: &Value, pod: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        None => text(&variable["value"]),
        Some("status.podIPs") => {
            let ips = pod["status"]["podIPs"].as_array().expect("addresses");
            ips.iter().map(|ip| text(&ip["ip"])).collect::<Vec<_>>().join(",")
        }
        Some(path) => text(path.split('.').fold(pod, |value, key| &value[key])),
    }
}

/// The files whose tests are all about what policy lets through.
const OF_POLICY: [(&str, &str); 12] = [
    ("bad_input.rs", include_str!("bad_input.rs")),
    ("bypass/privileges.rs", include_str!("bypass/privileges.rs")),
    ("bypass/sockets.rs", include_str!("bypass/sockets.rs")),
    ("clients/pipelining.rs", include_str!("clients/pipelining.rs")),
    ("clients/python.rs", include_str!("clients/python.rs")),
    ("clients/tools.rs", include_str!("clients/tools.rs")),
    ("egress.rs", include_str!("egress.rs")),
    ("enforcement.rs", include_str!("enforcement.rs")),
    ("forged.rs", include_str!("forged.rs")),
    ("redirection.rs", include_str!("redirection.rs")),
    ("services.rs", include_str!("services.rs")),
    ("world.rs", include_str!("world.rs")),
];

#[test]
fn every_test_of_policy_runs_in_both_modes() {
    for (file, text) in OF_POLICY {
        let (tests, listed) =
            text.split_once("in_node_mode! {").unwrap_or_else(|| panic!("{file}"));
        let listed: Vec<_> = listed.split(['{', '}', ',']).map(str::trim).collect();
        let named = tests.split("#[test]\nfn ").skip(1).map(|rest| rest.split('(').next());
        for test in named.flatten() {
            assert!(listed.contains(&test), "{file}: {test} runs in sidecar mode alone");
        }
    }
}
