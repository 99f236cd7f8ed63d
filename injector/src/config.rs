//! The names, ports and numbers that an injected pod carries.

use std::path::PathBuf;

/// The init container that programs the redirection.
pub const INIT_CONTAINER: &str = "remora-init";
/// The native sidecar: an init container that restarts always.
pub const SIDECAR_CONTAINER: &str = "remora";
/// The volume that holds the agent's socket.
pub const AGENT_VOLUME: &str = "remora-agent";
/// The annotation that says what was injected, and what was there before.
pub const STATUS_ANNOTATION: &str = "remora.dev/status";

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
/// Where the kubelet asks for health.
pub const HEALTH_PORT: u16 = 16021;
/// Every port that the sidecar listens on.
pub const OWN_PORTS: [u16; 5] =
    [ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, METRICS_PORT, HEALTH_PORT];

/// Where the sidecar finds the agent's volume.
pub(crate) const AGENT_MOUNT: &str = "/run/remora";

/// What differs between installations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectConfig {
    /// The node's directory in which the agent keeps a directory for each pod, with its socket.
    pub agent_sockets: PathBuf,
    /// The image of the init container.
    pub init_image: String,
    /// The image of the sidecar.
    pub sidecar_image: String,
}

impl Default for InjectConfig {
    /// The images of this very version, and the agent's usual directory.
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            agent_sockets: PathBuf::from("/run/remora/pods"),
            init_image: format!("remora/init:{version}"),
            sidecar_image: format!("remora/sidecar:{version}"),
        }
    }
}
