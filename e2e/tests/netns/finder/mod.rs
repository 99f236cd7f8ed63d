//! A node as a cluster runs it: the agent tells which pods its proxy serves, the
//! finder where their networks are, by processes in control groups that have the
//! pods' names. Nothing but the API server and the kubelet is stood in for.

mod cluster;
mod groups;

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use remora_injector::{InjectConfig, PROXY_UID, ProxyMode, inject, proxy_mode};
use remora_netns::{Image, Images, Job, Node, Pod, Process, Signal};
use serde_json::{Value, json};

use self::{
    cluster::{Agent, Cluster, NODE, TOKEN},
    groups::{Groups, Member},
};
use crate::stage::{
    Answer, MEMCACHED, PATIENCE, POLICY, ask, bin, denied, eventually, listening, miss, pod,
};

const AGENT_PORT: u16 = 16010;

/// A node with its proxy and its finder, and a cluster around it.
struct Stage {
    finder: Mutex<Process>,
    /// How many finders there were before.
    finders: AtomicUsize,
    proxy: Process,
    agent: Mutex<Option<Agent>>,
    cluster: Cluster,
    /// Where the agent runs.
    home: Pod,
    /// The first process of each pod, by the pod's name.
    pauses: Mutex<BTreeMap<String, Member>>,
    groups: Groups,
    node: Node,
}

impl Stage {
    fn set() -> Self {
        let bin = bin();
        let images = Images::new()
            .with("memcached", Image::distro(&["memcached"]))
            .with("idle", Image::distro(&["sleep", "infinity"]))
            .with_remora(&bin);
        let node = Node::with_shim(images, &bin.join("remora-shim")).expect("a node");
        let home = node.run_pod(&pod("agent", &json!({}), "idle", &[]), |_| Ok(()));
        let home = home.expect("a pod");
        let cluster = Cluster::new(SocketAddr::from((home.ipv4(), AGENT_PORT)));
        fs::write(node.work_dir().join("ca.crt"), cluster.ca()).expect("written");
        fs::write(node.work_dir().join("token"), TOKEN).expect("written");
        for folder in ["endpoints", "snapshots"] {
            let folder = node.work_dir().join(folder);
            fs::create_dir(&folder).expect("a directory");
            std::os::unix::fs::chown(&folder, Some(PROXY_UID), Some(PROXY_UID)).expect("given");
        }
        let finder = Mutex::new(find(&node, home.ipv4().into(), 0));
        let endpoints = node.work_dir().join("endpoints").display().to_string();
        let program = bin.join("remora-sidecar").display().to_string();
        let argv = [program.as_str(), "node", "--endpoints", &endpoints];
        let proxy = node.start_process("proxy", &argv, &[]).expect("the proxy starts");
        let (agent, pauses, groups) = (Mutex::default(), Mutex::default(), Groups::new());
        let finders = AtomicUsize::new(1);
        let stage = Self { finder, finders, proxy, agent, cluster, home, pauses, groups, node };
        stage.start_agent();
        stage
    }

    fn start_agent(&self) {
        let address = SocketAddr::from((self.home.ipv4(), AGENT_PORT));
        let listener = self.home.enter_network(|| TcpListener::bind(address));
        let listener = listener.expect("the pod's network").expect("a listener");
        *lock(&self.agent) = Some(self.cluster.serve(listener));
    }

    fn stop_agent(&self) {
        drop(lock(&self.agent).take());
    }

    /// Kills the finder, and starts another.
    fn restart_finder(&self) {
        let mut finder = lock(&self.finder);
        finder.signal(Signal::KILL);
        finder.wait(PATIENCE).expect("it ends");
        let number = self.finders.fetch_add(1, Ordering::Relaxed);
        *finder = find(&self.node, self.home.ipv4().into(), number);
    }

    fn policy(&self, text: &str) {
        let documents = remora_manifest::read(text, Path::new("policy.yaml"));
        let mut policy = documents.into_iter().next().expect("one").expect("readable").to_json();
        policy["metadata"]["namespace"] = json!("default");
        self.cluster.apply(&policy);
    }

    /// Runs a pod; one that is injected waits for its node's proxy.
    fn run(&self, manifest: &Value) -> Pod {
        let is_served = proxy_mode(manifest) == Some(ProxyMode::Node);
        let run = self.node.run_pod_with_network(manifest, |completed, network| {
            let mut told = completed.clone();
            told["spec"]["nodeName"] = json!(NODE);
            if is_served {
                let uid = told["metadata"]["uid"].as_str().expect("a uid");
                let pause =
                    self.groups.pod(uid).run(&["nsenter", &net(network), "sleep", "600"])?;
                let name = told["metadata"]["name"].as_str().expect("a name").to_owned();
                lock(&self.pauses).insert(name, pause);
            }
            self.cluster.apply(&told);
            Ok(())
        });
        run.unwrap_or_else(|error| {
            panic!(
                "{error}\nthe finder's log:\n{}\nthe proxy's:\n{}",
                self.said(),
                self.proxy.logs()
            )
        })
    }

    fn cache(&self, name: &str) -> Pod {
        let config = InjectConfig { mode: ProxyMode::Node, ..InjectConfig::default() };
        let manifest = pod(name, &json!({"app": "cache"}), "memcached", &[]);
        listening(self.run(&inject(&manifest, &config).expect("injectable")))
    }

    fn client(&self, name: &str, role: &str) -> Pod {
        self.run(&pod(name, &json!({"role": role}), "idle", &[]))
    }

    fn file(&self, pod: &Pod) -> PathBuf {
        self.node.work_dir().join("endpoints").join(format!("{}.json", pod.uid()))
    }

    /// What the folder says of a pod.
    fn endpoint(&self, pod: &Pod) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.file(pod)).ok()?).ok()
    }

    fn snapshots(&self) -> Vec<String> {
        let entries = fs::read_dir(self.node.work_dir().join("snapshots")).expect("a directory");
        entries.map(|entry| entry.expect("one").file_name().into_string().expect("UTF-8")).collect()
    }

    /// Whether the finder says that all of the agent's pods are in the folder.
    fn is_listed(&self) -> bool {
        let folder = self.node.work_dir().join("endpoints").display().to_string();
        let program = bin().join("remora-sidecar").display().to_string();
        let argv = [program.as_str(), "endpoints", "--into", &folder, "--check"];
        self.home.netns_exec(&argv).is_ok_and(|output| output.code == 0)
    }

    fn said(&self) -> String {
        lock(&self.finder).logs()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn net(network: &Path) -> String {
    format!("--net={}", network.display())
}

/// Starts a finder, with a log of its own.
fn find(node: &Node, agent: IpAddr, number: usize) -> Process {
    let at = |name: &str| node.work_dir().join(name).display().to_string();
    let (endpoints, snapshots) = (at("endpoints"), at("snapshots"));
    let program = bin().join("remora-sidecar").display().to_string();
    let argv = [program.as_str(), "endpoints", "--into", &endpoints, "--snapshots", &snapshots];
    let (agent, ca, token) = (format!("https://{agent}:{AGENT_PORT}"), at("ca.crt"), at("token"));
    let env = [("REMORA_AGENT", &*agent), ("REMORA_CA", &*ca), ("REMORA_TOKEN", &*token)];
    let name = format!("finder-{number}");
    let job = Job { name: &name, argv: &argv, env: &env, uid: None, stdout: None };
    node.start(&job).expect("the finder starts")
}

fn address(pod: &Pod) -> SocketAddr {
    (pod.ipv4(), MEMCACHED).into()
}

#[test]
fn a_nodes_pods_are_served_as_the_agent_tells_and_without_it_as_it_told() {
    let stage = Stage::set();
    stage.policy(POLICY);
    let (friend, stranger) = (stage.client("friend", "client"), stage.client("stranger", "other"));
    // It starts only when its policy is there.
    let cache = stage.cache("cache");
    let to = address(&cache);
    assert_eq!(ask(&friend, to, "get pub:a\r\n"), miss());
    assert_eq!(ask(&friend, to, "get secret\r\n"), denied());
    assert_eq!(ask(&stranger, to, "get pub:a\r\n"), Answer::Reset);
    eventually("the finder is done", || stage.is_listed());
    stage.policy(&POLICY.replace("pub:", "new:"));
    eventually("the edit", || ask(&friend, to, "get new:a\r\n") == miss());

    // Whose agent is away, and who is started anew meanwhile, keeps what there was.
    stage.stop_agent();
    let before = fs::read(stage.file(&cache)).expect("its endpoint");
    let mut open = friend.connect(to).expect("connected");
    stage.restart_finder();
    eventually("it is up", || {
        !stage.is_listed() && stage.said().contains("no connection to the agent")
    });
    assert_eq!(fs::read(stage.file(&cache)).expect("its endpoint"), before);
    assert_eq!(
        crate::stage::exchange(&mut open, "get new:a\r\n"),
        miss(),
        "nothing was interrupted"
    );
    eventually("the proxy has saved its policy", || stage.snapshots() == [cache.uid()]);

    stage.start_agent();
    eventually("it is told again", || stage.is_listed());
    assert_eq!(crate::stage::exchange(&mut open, "get new:a\r\n"), miss(), "not by that, either");
    let second = stage.cache("second");
    assert_eq!(ask(&friend, address(&second), "get new:a\r\n"), miss());
    stage.cluster.delete_pod("cache");
    eventually("it is forgotten", || stage.endpoint(&cache).is_none());
    eventually("and closed", || ask(&friend, to, "get new:a\r\n") == Answer::Refused);
    eventually("its policy is, too", || !stage.snapshots().contains(&cache.uid().to_owned()));
    assert_eq!(ask(&friend, address(&second), "get new:a\r\n"), miss(), "nobody else is");
}

#[test]
fn a_pod_that_poses_as_another_or_in_another_network_hurts_itself_alone() {
    let stage = Stage::set();
    stage.policy(POLICY);
    let friend = stage.client("friend", "client");
    let (cache, victim) = (stage.cache("cache"), stage.cache("victim"));
    let (own, others) = (stage.endpoint(&cache), stage.endpoint(&victim));
    assert!(own.is_some() && others.is_some());

    // In its own group, in networks that it has made, with its own address and the other's.
    let group = stage.groups.pod(cache.uid());
    let posed = |pod: &Pod| {
        let add = |ip: IpAddr| format!("ip addr add {ip} dev lo;");
        let (v4, v6) = (add(pod.ipv4().into()), add(pod.ipv6().into()));
        format!("ip link set lo up; {v4} {v6} echo up; exec sleep 600")
    };
    let mut posers = vec![group.posing(&posed(&cache)), group.posing(&posed(&victim))];
    // And below it, in a group that has the other's name.
    posers.push(group.below(victim.uid()).posing(&posed(&victim)));
    stage.restart_finder();
    eventually("all is looked for anew", || stage.is_listed());
    assert_eq!((stage.endpoint(&cache), stage.endpoint(&victim)), (own, others));
    for pod in [&cache, &victim] {
        assert_eq!(ask(&friend, address(pod), "get pub:a\r\n"), miss());
        assert_eq!(ask(&friend, address(pod), "get secret\r\n"), denied());
    }

    // Without the process that was there first: both are gone, and only what poses is left.
    drop(lock(&stage.pauses).remove("victim"));
    eventually("the victim is closed", || stage.endpoint(&victim).is_none());
    drop(lock(&stage.pauses).remove("cache"));
    eventually("who poses is served where it poses", || {
        let network = |pod| stage.endpoint(pod).map(|own| own["inode"].clone());
        network(&cache).is_some_and(|inode| inode == json!(posers[0].network()))
    });
    eventually("and is closed", || {
        ask(&friend, address(&cache), "get pub:a\r\n") == Answer::Refused
    });
    assert_eq!(stage.endpoint(&victim), None, "nobody takes another's place");
    eventually("it is refused", || {
        ask(&friend, address(&victim), "get pub:a\r\n") == Answer::Refused
    });

    // Whoever comes into the victim's network again is found there.
    let network = format!("--net={}", victim_network(&victim));
    let back = stage.groups.pod(victim.uid()).run(&["nsenter", &network, "sleep", "600"]);
    lock(&stage.pauses).insert("victim".to_owned(), back.expect("a process"));
    eventually("it is served again", || ask(&friend, address(&victim), "get pub:a\r\n") == miss());
    assert_eq!(ask(&friend, address(&victim), "get secret\r\n"), denied());
}

/// The network of a pod, by its app.
fn victim_network(pod: &Pod) -> String {
    format!("/proc/{}/ns/net", pod.pid("app").expect("it runs"))
}
