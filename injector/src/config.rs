//! The names, ports and numbers that an injected pod carries.

use std::path::PathBuf;
use std::str::FromStr;

use crate::limits::Limits;

/// The init container that programs the redirection.
pub const INIT_CONTAINER: &str = "remora-init";
/// The native sidecar, an init container that restarts always; or what waits for the node's
/// proxy in its place, one that ends.
pub const SIDECAR_CONTAINER: &str = "remora";
/// The volume that holds the agent's socket.
pub const AGENT_VOLUME: &str = "remora-agent";
/// The volume with the CA bundle that the agent's certificate is checked against.
pub const CA_VOLUME: &str = "remora-ca";
/// The volume with the token by which the agent knows the pod.
pub const TOKEN_VOLUME: &str = "remora-token";
/// The volume in which the sidecar keeps the last good policy for its next start.
pub(crate) const SNAPSHOT_VOLUME: &str = "remora-snapshot";
/// Every volume that may be ours.
pub const OWN_VOLUMES: [&str; 4] = [AGENT_VOLUME, CA_VOLUME, TOKEN_VOLUME, SNAPSHOT_VOLUME];

/// What the names of all our annotations begin with.
pub const ANNOTATION_PREFIX: &str = "remora.dev/";
/// The annotation that says what was injected, and what was there before.
pub const STATUS_ANNOTATION: &str = "remora.dev/status";
/// Which container `kubectl logs` and `kubectl exec` mean when they are told none.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// Where the agent of a usual installation is reached.
pub const AGENT_URL: &str = "https://remora-agent.remora.svc:16010";
/// Whom the sidecar's token is for. No other token is taken by the agent, and
/// this one is taken by nobody else.
pub const TOKEN_AUDIENCE: &str = "remora-agent";
/// The ConfigMap that the agent keeps in the namespaces of injected pods.
pub const CA_CONFIG_MAP: &str = "remora-ca";

/// The uid and gid that the sidecar runs as, and that nobody else in the pod may.
pub const PROXY_UID: u32 = 16006;
/// Where redirected inbound connections arrive.
pub const INBOUND_PORT: u16 = 16006;
/// Where redirected outbound connections arrive; loopback only.
pub const OUTBOUND_PORT: u16 = 16001;
/// The sidecar's admin interface; loopback only.
pub const ADMIN_PORT: u16 = 16000;
/// Where metrics are scraped.
pub const METRICS_PORT: u16 = 16020;
/// Where the kubelet's rewritten probes and hooks arrive.
pub const HEALTH_PORT: u16 = 16021;
/// Every port that the sidecar listens on.
pub const OWN_PORTS: [u16; 5] =
    [ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, METRICS_PORT, HEALTH_PORT];

/// The most bytes of `REMORA_PROBES`. The kernel ends one variable at 128 KiB, and with it
/// the container's start, long after the API server took the manifest.
pub const MAX_PROBES_BYTES: usize = 64 << 10;

/// Where the sidecar finds what connects it to the agent.
pub(crate) const AGENT_MOUNT: &str = "/run/remora";

/// Where the sidecar keeps the last good policy: in a volume, which outlives its container
/// and ends with the pod.
pub(crate) const SNAPSHOT_MOUNT: &str = "/var/lib/remora";

/// How a sidecar reaches the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAddress {
    /// Over TLS, at `https://HOST:PORT`: the way of a cluster.
    Url(String),
    /// Through a unix socket: the node's directory in which the agent keeps a directory for
    /// each pod, with its socket. Only Pods with a name can be injected so.
    Sockets(PathBuf),
}

/// Where the proxy of a pod stands. It is the pod's own affair: those of either kind live side
/// by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// In the pod: a native sidecar.
    #[default]
    Sidecar,
    /// On the node, one for all its pods; the pod waits until that serves it.
    Node,
}

impl ProxyMode {
    /// Its word, on command lines and in what programs print.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Node => "node",
        }
    }
}

impl FromStr for ProxyMode {
    type Err = String;

    /// The word; or what there is to write instead.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |mode: &Self| mode.word() == text;
        let found = [Self::Sidecar, Self::Node].into_iter().find(is_it);
        found.ok_or_else(|| format!("`{text}` is no mode; write sidecar or node"))
    }
}

/// What differs between installations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectConfig {
    /// Where the proxy stands.
    pub mode: ProxyMode,
    /// Where the agent is. Of a pod that its node's proxy serves, only that has to know.
    pub agent: AgentAddress,
    /// The image of the init container.
    pub init_image: String,
    /// The image of the sidecar.
    pub sidecar_image: String,
    /// What peers may cost a sidecar, which a pod may tighten.
    pub limits: Limits,
}

impl Default for InjectConfig {
    /// The images of this very version, and the agent of a usual installation.
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            mode: ProxyMode::default(),
            agent: AgentAddress::Url(AGENT_URL.to_owned()),
            init_image: format!("remora/init:{version}"),
            sidecar_image: format!("remora/sidecar:{version}"),
            limits: Limits::default(),
        }
    }
}
