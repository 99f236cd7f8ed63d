//! The command line.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use remora_parsers::Registry;
use remora_policy::Prefix;
use tracing::level_filters::LevelFilter;

use crate::server::tcp::NodeAccount;
use crate::{ClusterConfig, Config};

/// Exit status when the command line or a directory that it names is wrong.
pub const EXIT_USAGE: u8 = 64;
/// Exit status when the API server does not give what the agent needs.
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit status when the agent cannot go on.
pub const EXIT_SOFTWARE: u8 = 70;

const EXAMPLE: &str = "\
Example:
  remora-agent --dir manifests --sockets /run/remora-agent

  manifests/ holds *.yaml, *.yml and *.json with Pods (status.podIPs once they have
  addresses), Namespaces, CiliumNetworkPolicies, CiliumClusterwideNetworkPolicies,
  L7Policies and ClusterL7Policies. Edit, add and delete files at will.

  Each pod with an init container `remora` is served at
  /run/remora-agent/NAMESPACE_POD/agent.sock, the rest are known as peers.
  The file /run/remora-agent/.ready exists while pods are served.

  remora-agent kubernetes --help tells of the agent on Kubernetes.

Exit status:
  0   stopped by SIGTERM or SIGINT
  64  wrong flags, or a directory that cannot be used
  70  the agent could not go on (a bug: sidecars keep what they have)";

const CLUSTER_EXAMPLE: &str = "\
Example:
  remora-agent kubernetes --namespace remora --cluster-cidr 10.244.0.0/16

  In a pod it talks to the API server as the pod's service account, whose rights
  deploy/rbac.yaml lists; elsewhere KUBECONFIG names the server. /readyz says why
  it is not ready, /metrics is for Prometheus.

Exit status:
  0   stopped by SIGTERM or SIGINT
  64  wrong flags, or an address that cannot be listened at
  69  the API server could not be reached, or refused what the agent needs
  70  the agent could not go on (a bug: sidecars keep what they have)";

/// Watches pods, namespaces and policies in a directory and serves each pod its
/// slice of policy over a unix socket of its own.
///
/// A file that cannot be read keeps what it last said, a policy that is refused
/// keeps its last good version; where none is known, the pods that it is about
/// are closed. The log names the file, the line and the remedy.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "remora-agent",
    version,
    after_help = EXAMPLE,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Options {
    /// Where the objects come from, if not from a directory
    #[command(subcommand)]
    command: Option<Command>,

    /// Directory of manifests to watch
    #[arg(long, value_name = "DIR", required = true)]
    dir: Option<PathBuf>,

    /// Directory for the pods' sockets; made if it is missing
    #[arg(long, value_name = "DIR", required = true)]
    sockets: Option<PathBuf>,

    /// Uid and gid of the sidecars: sockets belong to this group
    #[arg(long, value_name = "ID", default_value_t = 16006)]
    proxy_uid: u32,

    /// How much to log to stderr: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", global = true)]
    pub log: LevelFilter,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Watch a Kubernetes API server, and serve sidecars over TLS
    Kubernetes(Cluster),
}

/// Watches pods, namespaces, nodes and policies of a Kubernetes cluster and
/// serves each pod with a sidecar its slice of policy over TLS: who asks is
/// known by its service account's token.
///
/// Policies are L7Policies, ClusterL7Policies and, where the cluster has them,
/// CiliumNetworkPolicies and CiliumClusterwideNetworkPolicies. One that is
/// refused keeps its last good version; where none is known, the pods that it
/// selects are closed. Its status, or an Event, names the field and the remedy.
#[derive(Args, Clone, Debug)]
#[command(after_help = CLUSTER_EXAMPLE)]
struct Cluster {
    /// Namespace of the agent itself
    #[arg(long, value_name = "NAMESPACE", default_value = "remora")]
    namespace: String,

    /// Where to serve sidecars
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = anywhere(16010))]
    listen: SocketAddr,

    /// Where to serve /metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = anywhere(16020))]
    metrics: SocketAddr,

    /// Where to serve /readyz and /livez
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = anywhere(16021))]
    health: SocketAddr,

    /// A range of the cluster's addresses, besides those that its nodes tell; may be repeated.
    /// Without any from either, every private range counts as the cluster's
    #[arg(long, value_name = "CIDR")]
    cluster_cidr: Vec<Prefix>,

    /// Keep the certificate of the injector: the name of its Service and of its
    /// MutatingWebhookConfiguration, whose caBundle this writes
    #[arg(long, value_name = "NAME")]
    injector: Option<String>,

    /// The ClusterRole with which the Secrets, ConfigMaps and the Lease that the agent makes go away
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,

    /// Service account of the proxies of nodes, NAMESPACE/NAME: its tokens may ask for the pods
    /// that the proxy of their node serves. Without it nobody may
    #[arg(long, value_name = "ACCOUNT")]
    node_account: Option<NodeAccount>,

    /// Name of this replica among the others [default: the name of the host, which is the pod's]
    #[arg(long, value_name = "NAME")]
    replica: Option<String>,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Mode {
    /// An agent for a directory.
    Directory(Config),
    /// An agent for a cluster.
    Cluster(Box<ClusterConfig>),
}

impl Options {
    /// What the agent makes of them.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self.command {
            Some(Command::Kubernetes(cluster)) => Mode::Cluster(Box::new(cluster.config())),
            None => Mode::Directory(Config {
                // Without a command clap requires both.
                directory: self.dir.unwrap_or_default(),
                sockets: self.sockets.unwrap_or_default(),
                proxy_uid: self.proxy_uid,
                registry: Registry::BUILT_IN,
            }),
        }
    }
}

impl Cluster {
    fn config(self) -> ClusterConfig {
        ClusterConfig {
            namespace: self.namespace,
            replica: self.replica.unwrap_or_else(hostname),
            listen: self.listen,
            metrics: self.metrics,
            health: self.health,
            injector: self.injector,
            owner: self.owner,
            node_account: self.node_account,
            ranges: self.cluster_cidr,
            registry: Registry::BUILT_IN,
        }
    }
}

/// A pod's name is that of its host. A process without one is a replica all the same.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => format!("remora-agent-{}", std::process::id()),
        name => name.to_owned(),
    }
}

const fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
        let options = parse("x --dir a --sockets b").expect("a command line");
        assert_eq!((options.proxy_uid, options.log), (16006, LevelFilter::INFO));
        let Mode::Directory(config) = options.mode() else { panic!("a directory") };
        assert_eq!((config.directory, config.sockets), ("a".into(), "b".into()));
        for wrong in ["x", "x --dir a", "x --sockets b", "x --dir a --sockets b kubernetes"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kubernetes_needs_no_flag_and_takes_some() {
        let Mode::Cluster(config) = parse("x kubernetes").expect("a command line").mode() else {
            panic!("a cluster")
        };
        assert_eq!(config.namespace, "remora");
        assert_eq!(config.listen.to_string(), "[::]:16010");
        assert_eq!((config.metrics.port(), config.health.port()), (16020, 16021));
        assert!(config.ranges.is_empty() && !config.replica.is_empty());
        let line = "x kubernetes --log debug --cluster-cidr 10.0.0.0/8 --cluster-cidr fd00::/8";
        let options = parse(line).expect("a command line");
        assert_eq!(options.log, LevelFilter::DEBUG);
        let Mode::Cluster(config) = options.mode() else { panic!("a cluster") };
        assert_eq!(config.ranges.len(), 2);
        assert_eq!(config.node_account, None);
        let line = "x kubernetes --node-account remora/remora-node";
        let Mode::Cluster(config) = parse(line).expect("a command line").mode() else {
            panic!("a cluster")
        };
        assert_eq!(config.node_account.map(|own| own.name), Some("remora-node".to_owned()));
        let error = parse("x kubernetes --node-account remora-node").expect_err("no account");
        assert!(error.to_string().contains("write NAMESPACE/NAME"), "{error}");
        let error = parse("x kubernetes --cluster-cidr 10.0.0.1/8").expect_err("no range");
        assert!(error.to_string().contains("write 10.0.0.0/8"), "{error}");
    }
}
