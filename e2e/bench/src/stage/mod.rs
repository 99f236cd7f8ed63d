//! The stage: a node with Remora's agent, a client pod, and server pods in
//! which, or before which, partners put their proxies.

mod pods;
mod spot;

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use remora_netns::{Image, Images, Job, Node, Pod, Process};
use tempfile::TempDir;

pub(crate) use remora_injector::PROXY_UID;
pub(crate) use spot::Spot;

use crate::{
    machine::Cores,
    partner::{CommandLine, Mode, Partner, Protocol, Redirection},
};

/// How long a step of the set-up may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Dropping it takes everything down.
pub(crate) struct Stage {
    client: Pod,
    agent: Process,
    node: Node,
    cores: Cores,
    programs: PathBuf,
    /// Where proxies may read, which run as a user of their own.
    scratch: TempDir,
}

impl Stage {
    /// A node with an agent and a client, and no server yet.
    pub(crate) fn set(programs: &Path, cores: Cores) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("remora-bench-").tempdir()?;
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
        let (manifests, sockets) =
            (scratch.path().join("manifests"), scratch.path().join("sockets"));
        for folder in [&manifests, &sockets, &scratch.path().join("programs")] {
            fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let this = env::current_exe().context("finding this program")?;
        let images = Images::new()
            .with(Protocol::Memcached.name(), Image::distro(&["memcached"]))
            .with(Protocol::Redis.name(), Image::distro(&["redis-server"]))
            .with(Protocol::Bulk.name(), Image::program(&this))
            .with("idle", Image::distro(&["sleep", "infinity"]))
            .with_remora(programs);
        let node = Node::new(images)?.with_patience(LIMIT);
        let agent = start_agent(&node, programs, &manifests, &sockets)?;
        let client = pods::run(&node, &pods::client(), None, &manifests)?;
        pods::reuse_ports(&client)?;
        let programs = programs.to_owned();
        Ok(Self { client, agent, node, cores, programs, scratch })
    }

    pub(crate) fn client(&self) -> &Pod {
        &self.client
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn cores(&self) -> Cores {
        self.cores
    }

    /// Server pods that are ready and hold the values that loads ask for, as a
    /// partner needs them.
    pub(crate) fn spots(
        &self,
        names: &[String],
        partner: &Partner,
        protocols: &[Protocol],
    ) -> Result<Vec<Spot>> {
        let servers = pods::Servers { node: &self.node, partner, protocols };
        let started = servers.run_all(names, &self.manifests(), &self.sockets());
        let spots = started.with_context(|| format!("the agent's log:\n{}", self.agent.logs()))?;
        if partner.about.redirection == Redirection::OnNode {
            self.redirect(&spots, protocols)?;
        }
        Ok(spots)
    }

    /// Asks an adapter how its partner is started before these pods.
    pub(crate) fn command(
        &self,
        partner: &Partner,
        spots: &[Spot],
        rules: usize,
    ) -> Result<CommandLine> {
        let names: BTreeSet<_> = spots.iter().map(|spot| spot.name.as_str()).collect();
        let first = names.first().copied().context("no pod")?;
        let folder = self.scratch.path().join(format!("{}.{first}.{rules}", partner.name));
        fs::create_dir_all(&folder)?;
        chown(&folder, Some(PROXY_UID), Some(PROXY_UID))?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut environment = vec![
            ("BENCH_DIR", text(&folder)),
            ("BENCH_PROGRAMS", text(&self.programs)),
            ("BENCH_MANIFESTS", text(&self.manifests())),
            ("BENCH_SOCKETS", text(&self.sockets())),
            ("BENCH_RULES", rules.to_string()),
            ("BENCH_TOOL", self.reachable(&text(&env::current_exe()?))?),
        ];
        match (partner.about.mode, spots) {
            (Mode::Sidecar, [spot]) => environment.extend(spot.variables(partner.port())),
            _ => {
                let endpoints = spots.iter().map(|spot| spot.endpoints(&partner.about.protocols));
                environment.push(("BENCH_ENDPOINTS", endpoints.collect::<Result<_>>()?));
            }
        }
        let mut command = partner.command(&environment)?;
        if let Some(program) = command.words.first_mut() {
            *program = self.reachable(program)?;
        }
        Ok(command)
    }

    pub(crate) fn agent(&self) -> &Process {
        &self.agent
    }

    /// The agent's folder of manifests.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.scratch.path().join("manifests")
    }

    /// Where it serves each pod.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.scratch.path().join("sockets")
    }

    /// A copy of a program where a proxy's user can read it: a checkout may
    /// lie in a folder that is closed to others. The system's own are open.
    fn reachable(&self, program: &str) -> Result<String> {
        let path = Path::new(program);
        if path.starts_with("/usr") {
            return Ok(program.to_owned());
        }
        let copy = self.scratch.path().join("programs").join(path.file_name().unwrap_or_default());
        if !copy.exists() {
            fs::copy(path, &copy).with_context(|| format!("copying {program}"))?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        }
        Ok(copy.to_string_lossy().into_owned())
    }

    /// Sends what is for the pods' service addresses to a listener on the node,
    /// by the rule that the pods of sidecars have too.
    fn redirect(&self, spots: &[Spot], protocols: &[Protocol]) -> Result<()> {
        let rules: String = spots.iter().map(|spot| spot.rules(protocols)).collect();
        let settings: String = pods::PORT_SETTINGS
            .iter()
            .map(|(name, value)| format!("echo '{value}' > /proc/sys/net/ipv4/{name}\n"))
            .collect();
        let script = format!(
            "set -e\n{settings}iptables-restore --noflush <<end\n*nat\n{rules}COMMIT\nend\n"
        );
        let argv = ["/bin/sh", "-c", &script];
        let job = Job { name: "redirect", argv: &argv, env: &[], uid: None, stdout: None };
        let process = self.node.start(&job)?;
        let code = process.wait(LIMIT)?;
        ensure!(code == 0, "iptables-restore failed on the node: {}", process.logs());
        Ok(())
    }
}

fn start_agent(node: &Node, programs: &Path, manifests: &Path, sockets: &Path) -> Result<Process> {
    let program = programs.join("remora-agent");
    let [program, manifests, sockets] =
        [&program, manifests, sockets].map(|path| path.to_str().unwrap_or_default());
    let argv = [program, "--dir", manifests, "--sockets", sockets, "--log", "warn"];
    node.start_process("agent", &argv, &[]).context("starting the agent")
}
