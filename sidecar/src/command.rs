//! The command line: arguments, signals and exit codes.

use std::{io, num::NonZeroUsize, panic, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use remora_parsers::Registry;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
};
use tracing::level_filters::LevelFilter;

use crate::{
    App, Config, ConfigError, StartError,
    config::{self, FinderConfig, NodeConfig},
    finder::{self, Finder, FinderError},
    node::{self, Node, NodeError, RightsError},
    ready,
};

const CODES: &str = "\
Exit codes:
  0   stopped as asked; `ready`: ready
  1   could not start; `ready`: not ready, and the reason is printed
  2   wrong arguments
  64  wrong environment: every problem is printed with its variable";

const ENVIRONMENT: &str = "\
Environment (the injector sets what has no default):
  REMORA_AGENT          the agent: https://HOST:PORT, or unix:/absolute/path
  REMORA_CA, REMORA_TOKEN
                        files for an agent by https: the CAs that may vouch for
                        it, and this pod's token; read for each connection
  REMORA_POD_NAME, REMORA_POD_NAMESPACE, REMORA_POD_UID, REMORA_POD_IPS
                        this pod: metadata.name, metadata.namespace,
                        metadata.uid and status.podIPs
  REMORA_LOG            diagnostics on stderr: off, error, warn, info (default),
                        debug, trace; not of the access log on stdout
  REMORA_INBOUND_PORT   where redirected connections arrive that come in
                        (default 16006)
  REMORA_OUTBOUND_PORT  where those that go out arrive, on 127.0.0.1 and ::1
                        (default 16001)
  REMORA_ADMIN_PORT     where readiness is told, on 127.0.0.1 (default 16000)
  REMORA_METRICS_PORT   where Prometheus collects (default 16020)
  REMORA_HEALTH_PORT    where the kubelet's probes and hooks come (default 16021)
  REMORA_PROBES         those probes and hooks as JSON: path, handler, timeout
  REMORA_HOST_IP        the node, status.hostIP: it alone may call the hooks, as
                        may the gateways of this network namespace
  REMORA_SNAPSHOT       a file that keeps the last good policy, for a start without
                        the agent; without it such a start denies everything
  REMORA_SNAPSHOT_MAX_AGE_SECONDS
                        how long ago the agent may have been heard for it to be
                        used, 60 to 2592000 (default 86400)
  REMORA_ACCESS_LOG     json (default) or text
  REMORA_ACCESS_LOG_FIELDS
                        fields of requests that are shown as they are, with
                        commas between, or *; others are shown as hashes
  REMORA_ACCESS_LOG_RATE
                        the most records a second (default 10000)
  REMORA_ACCESS_LOG_SOCKET
                        a unix socket (SOCK_SEQPACKET) that is sent each record
                        as Cilium's LogEntry
  REMORA_FIRST_BYTE_SECONDS, REMORA_FRAME_SECONDS, REMORA_IDLE_SECONDS,
  REMORA_PEER_SECONDS, REMORA_MAX_CONNECTIONS, REMORA_MAX_CONNECTIONS_PER_SOURCE,
  REMORA_MAX_HELD_BYTES, REMORA_MAX_DENIALS_PER_SECOND
                        what peers may cost (docs/limits.md)
  REMORA_THREADS        how many threads judge connections, 1 (default) to 64
  REMORA_DRAIN_DELAY_SECONDS
                        how long connections are still accepted after a stop was
                        asked for, while the app is there (default 5)
  REMORA_DRAIN_SECONDS  how long those in flight may go on then (default 5)
  REMORA_UNKNOWN_WAIT_SECONDS
                        how long a connection with somebody of the cluster of
                        whom the agent has not told yet is kept waiting, 0 to 60
                        (default 5)

Before the first policy, from the agent or saved, every connection is denied. SIGTERM and SIGINT stop the
proxy: it accepts connections until the app is gone, closes those that are
between requests, and gives the others time to finish.";

const NODE: &str = "\
An endpoint's file:
  {\"network\": \"/proc/PID/ns/net\", \"variables\": {\"REMORA_POD_NAME\": \"cache\", ...}}
and, if it is to be held to it, \"inode\", the number of that network;
with the variables of a sidecar (see `remora-sidecar run --help`), of which
REMORA_LOG, REMORA_ACCESS_LOG_SOCKET and REMORA_DRAIN_DELAY_SECONDS mean nothing
in a file. It starts as root and becomes user 16006 with SYS_ADMIN and SYS_PTRACE.
A pod whose file is missing or wrong is closed, as long as it is redirected.

Environment:
  REMORA_LOG, REMORA_ACCESS_LOG, REMORA_ACCESS_LOG_SOCKET
                        as for a sidecar, for all pods";

const ENDPOINTS: &str = "\
The agent tells which pods are this node's; a process of each, known by its
control group, where its network is. It starts as root and becomes user 16006 with
SYS_PTRACE; in a pod it needs hostPID. With the agent away, everybody stays.

Environment:
  REMORA_AGENT          the agent: https://HOST:PORT
  REMORA_CA, REMORA_TOKEN
                        the CAs that may vouch for it, and the token of the pod of
                        this node's proxy; the endpoints are given the same
  REMORA_LOG            diagnostics on stderr, as for a sidecar";

/// Judges the connections of one pod by its L7 policy.
#[derive(Debug, Parser)]
#[command(name = "remora-sidecar", version, after_help = CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM; the access log goes to stdout, a line of JSON an event
    #[command(after_help = ENVIRONMENT)]
    Run,
    /// Run one proxy for many pods of this node until SIGTERM
    #[command(after_help = NODE)]
    Node {
        /// The folder of endpoints: a file NAME.json for each pod, renamed into place
        #[arg(long, value_name = "DIR")]
        endpoints: PathBuf,
        /// Threads for traffic; each pod is served by one of them
        #[arg(long, value_name = "N", default_value = "1")]
        threads: NonZeroUsize,
    },
    /// Find the pods of this node that its proxy serves, and keep its folder of endpoints
    #[command(after_help = ENDPOINTS)]
    Endpoints {
        /// The folder of endpoints
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// A folder in which endpoints keep their last good policy, for a start without the agent
        #[arg(long, value_name = "DIR")]
        snapshots: Option<PathBuf>,
        /// Only say whether the agent's pods are in the folder, for a readiness probe
        #[arg(long)]
        check: bool,
    },
    /// Ask the running proxy whether it has its policy; if not, say what it waits for
    #[command(after_help = "Made for a startup probe: exec `/remora-sidecar ready`.")]
    Ready {
        /// Wait until it has, as an init container of a pod without a proxy of its own
        #[arg(long)]
        wait: bool,
    },
}

/// Why the command ends badly.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Finder(#[from] FinderError),
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("{0}")]
    NotReady(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 64,
            Self::Start(_)
            | Self::Rights(_)
            | Self::Node(_)
            | Self::Finder(_)
            | Self::System(_)
            | Self::NotReady(_) => 1,
        }
    }
}

/// Does what the arguments say, with these protocols, and returns the process's
/// exit code.
#[must_use]
pub fn run(arguments: &Arguments, registry: Registry) -> ExitCode {
    let done = match &arguments.command {
        Command::Run => proxy(registry),
        Command::Node { endpoints, threads } => of_node(endpoints.clone(), *threads, registry),
        Command::Endpoints { into, check: true, .. } => {
            finder::check(into).map_err(Failure::NotReady)
        }
        Command::Endpoints { into, snapshots, .. } => find(into.clone(), snapshots.clone()),
        Command::Ready { wait } => is_ready(*wait),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn is_ready(wait: bool) -> Result<(), Failure> {
    let admin = config::admin_from_env()?;
    if wait {
        ready::wait(admin, |why| eprintln!("{why}"));
        return Ok(());
    }
    ready::ask(admin).map_err(Failure::NotReady)
}

fn proxy(registry: Registry) -> Result<(), Failure> {
    let config = Config::from_env()?;
    prepare(config.log);
    runtime(config.threads)?.block_on(async {
        let stop = stop_signal()?;
        let app = App::new(config, registry).bind().await?;
        tracing::info!(addresses = ?app.addresses(), "listening");
        app.run(stop).await;
        tracing::info!("stopped");
        Ok(())
    })
}

fn of_node(endpoints: PathBuf, threads: NonZeroUsize, registry: Registry) -> Result<(), Failure> {
    let config = NodeConfig::from_env()?;
    prepare(config.log);
    // Before there is a second thread.
    node::become_proxy()?;
    hide_memory();
    // Its endpoints have threads of their own.
    runtime(1)?.block_on(async {
        let stop = stop_signal()?;
        Node::new(endpoints, threads, config, registry).run(stop).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

fn find(into: PathBuf, snapshots: Option<PathBuf>) -> Result<(), Failure> {
    let config = FinderConfig::from_env()?;
    prepare(config.log);
    // Before there is a second thread.
    node::become_finder()?;
    hide_memory();
    runtime(1)?.block_on(async {
        let stop = stop_signal()?;
        Finder::new(config, into, snapshots).run(stop).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

/// What a process is made before it does anything.
fn prepare(log: LevelFilter) {
    tracing_subscriber::fmt().with_max_level(log).with_writer(io::stderr).with_ansi(false).init();
    panic::set_hook(Box::new(report_panic));
    hide_memory();
}

/// One thread wakes nobody else and takes no lock that another holds; more are for pods whose
/// one connection leaves the others no time.
fn runtime(threads: u64) -> io::Result<Runtime> {
    let mut builder = match usize::try_from(threads) {
        Ok(threads @ 2..) => {
            let mut builder = runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
        _ => runtime::Builder::new_current_thread(),
    };
    // Policies are saved on one more thread, one after the other: they are small,
    // and nobody waits for them.
    builder.max_blocking_threads(1).enable_all().build()
}

/// No core file, and no debugger of the pod's: keys and tokens pass through this
/// memory. Where the kernel refuses, it is as it would be without.
fn hide_memory() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Completes at the first SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}

/// A panic's place only: its message can quote what a peer sent, and belongs
/// into the access log, which escapes and cuts it.
fn report_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panic");
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn it_cannot_be_dumped() {
        hide_memory();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
