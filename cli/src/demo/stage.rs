//! The stage: a node, the agent on it, the clients, and the servers with their
//! sidecars.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use remora_injector::{AgentAddress, InjectConfig, inject};
use remora_netns::{Image, Images, Node, Pod, Process, report_to};
use serde_json::Value;

use super::manifests;
use super::needs::Programs;

/// The ports in the servers' manifests.
pub(super) const MEMCACHED_PORT: u16 = 11211;
const DROID_PORT: u16 = 4242;

const CASSANDRA_PORT: u16 = 9042;

/// How long an app may take to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// How long Cassandra may take.
const CASSANDRA_LIMIT: Duration = Duration::from_secs(120);

/// Everything that runs. Dropping it takes all of it down.
#[derive(Debug)]
pub(super) struct Stage {
    pods: BTreeMap<String, Pod>,
    agent: Process,
    /// The agent's directory of manifests.
    manifests: PathBuf,
    /// Last, because its work directory holds all of the above's files.
    _node: Node,
}

/// A line of progress.
pub(super) fn say(line: &str) {
    eprintln!("· {line}");
}

impl Stage {
    /// Starts everything and waits until it serves.
    pub(super) fn set(programs: &Programs) -> Result<Self> {
        let node = Node::new(images(programs))?;
        let manifests = make_dir(&node, "manifests")?;
        let sockets = make_dir(&node, "sockets")?;
        fs::write(manifests.join(manifests::MEMCACHED_POLICY_FILE), manifests::MEMCACHED_POLICY)?;
        fs::write(manifests.join(manifests::DROID_POLICY_FILE), manifests::DROID_POLICY)?;
        say("starting the agent");
        let agent = start_agent(&node, programs, &manifests, &sockets)?;
        let mut stage = Self { pods: BTreeMap::new(), agent, manifests, _node: node.clone() };
        say("starting the clients, which have no sidecar");
        stage.run_all(&node, &manifests::clients()?)?;
        say("injecting and starting memcached and the droid");
        let config =
            InjectConfig { agent: AgentAddress::Sockets(sockets), ..InjectConfig::default() };
        let servers = manifests::servers()?;
        let injected = servers.iter().map(|server| inject(server, &config).map_err(Into::into));
        let started =
            injected.collect::<Result<Vec<_>>>().and_then(|pods| stage.run_all(&node, &pods));
        // When a sidecar did not start, the agent may know why.
        started.with_context(|| format!("the agent's log:\n{}", stage.agent.logs()))?;
        stage.await_listening("memcached", MEMCACHED_PORT)?;
        stage.await_listening("droid", DROID_PORT)?;
        if programs.cassandra.is_some() {
            stage.add_cassandra(&node, &config)?;
        }
        Ok(stage)
    }

    /// Starts Cassandra and its clients.
    fn add_cassandra(&mut self, node: &Node, config: &InjectConfig) -> Result<()> {
        say("injecting and starting Cassandra, which takes a while");
        let policy = self.manifests.join(manifests::CASSANDRA_POLICY_FILE);
        fs::write(policy, manifests::CASSANDRA_POLICY)?;
        let (servers, clients) = manifests::cassandra()?;
        self.run_all(node, &clients)?;
        let injected = servers.iter().map(|server| inject(server, config).map_err(Into::into));
        self.run_all(node, &injected.collect::<Result<Vec<_>>>()?)?;
        let address = self.cassandra()?;
        self.await_accepting("cassandra", address, CASSANDRA_LIMIT).with_context(|| {
            self.pod("cassandra").and_then(|it| Ok(it.logs("cassandra")?)).unwrap_or_default()
        })
    }

    /// Runs these pods at the same time, reporting each to the agent's directory.
    fn run_all(&mut self, node: &Node, manifests: &[Value]) -> Result<()> {
        let directory = &self.manifests;
        let started: Vec<_> = thread::scope(|scope| {
            let run = |manifest| scope.spawn(move || node.run_pod(manifest, report_to(directory)));
            let starting: Vec<_> = manifests.iter().map(run).collect();
            starting.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for (pod, manifest) in started.into_iter().zip(manifests) {
            let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
            let pod = pod.map_err(|_| anyhow!("starting pod {name} panicked"))??;
            self.pods.insert(name.to_owned(), pod);
        }
        Ok(())
    }

    /// Waits until a pod's app listens. We look from inside the pod: the node is
    /// no peer that the policies name, and a probe over the network is judged.
    fn await_listening(&self, name: &str, port: u16) -> Result<()> {
        self.await_accepting(name, ([127, 0, 0, 1], port).into(), LISTEN_LIMIT)
    }

    fn await_accepting(&self, name: &str, address: SocketAddr, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while let Err(error) = self.pod(name)?.connect(address) {
            ensure!(Instant::now() < deadline, "{name} does not listen on {address}: {error}");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// One of the demo's pods.
    pub(super) fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods.get(name).ok_or_else(|| anyhow!("the demo has no pod {name}"))
    }

    /// Where other pods reach memcached.
    pub(super) fn memcached(&self) -> Result<SocketAddr> {
        Ok((self.pod("memcached")?.ipv4(), MEMCACHED_PORT).into())
    }

    /// Where other pods reach the droid; over IPv6, as memcached is over IPv4.
    pub(super) fn droid(&self) -> Result<SocketAddr> {
        Ok((self.pod("droid")?.ipv6(), DROID_PORT).into())
    }

    /// Where other pods reach Cassandra. It listens on no other address.
    pub(super) fn cassandra(&self) -> Result<SocketAddr> {
        Ok((self.pod("cassandra")?.ipv4(), CASSANDRA_PORT).into())
    }

    /// The file of the memcached policy, which the agent watches.
    pub(super) fn memcached_policy(&self) -> PathBuf {
        self.manifests.join(manifests::MEMCACHED_POLICY_FILE)
    }

    /// Copies all logs to a directory that stays, and returns it.
    pub(super) fn keep_logs(&self) -> Result<PathBuf> {
        let directory = tempfile::Builder::new().prefix("remora-demo-logs-").tempdir()?.keep();
        let write = |name: &str, log: String| {
            let path = directory.join(format!("{name}.log"));
            fs::File::create(path).and_then(|mut file| file.write_all(log.as_bytes()))
        };
        write("agent", self.agent.logs())?;
        for (name, pod) in &self.pods {
            let spec = &pod.manifest()["spec"];
            let lists = ["initContainers", "containers"].map(|list| spec[list].as_array());
            for container in lists.into_iter().flatten().flatten() {
                let container = container["name"].as_str().unwrap_or_default();
                write(&format!("{name}.{container}"), pod.logs(container)?)?;
            }
        }
        Ok(directory)
    }
}

/// What a node of a cluster would have pulled.
fn images(programs: &Programs) -> Images {
    let mut remora = Image::distro(&["/remora"]);
    remora.files.push((programs.remora.clone(), "/remora".to_owned()));
    let mut images = Images::new();
    if let Some(home) = &programs.cassandra {
        let path = |name: &str| home.join(name).to_string_lossy().into_owned();
        let mut cassandra = Image::distro(&[&path("start"), &path("lib")]);
        cassandra.host_dirs.push(home.clone());
        images = images.with("cassandra", cassandra);
    }
    images
        .with("memcached", Image::distro(&["memcached"]))
        .with("idle", Image::distro(&["sleep", "infinity"]))
        .with("remora", remora)
        .with_remora(&programs.bin)
}

fn start_agent(
    node: &Node,
    programs: &Programs,
    manifests: &Path,
    sockets: &Path,
) -> Result<Process> {
    let program = programs.bin.join("remora-agent");
    let [program, manifests, sockets] =
        [&program, manifests, sockets].map(|path| path.to_str().unwrap_or_default());
    let argv = [program, "--dir", manifests, "--sockets", sockets];
    node.start_process("agent", &argv, &[]).context("start the agent")
}

fn make_dir(node: &Node, name: &str) -> Result<PathBuf> {
    let path = node.work_dir().join(name);
    fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
    Ok(path)
}
