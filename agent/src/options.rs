//! The command line.

use std::path::PathBuf;

use clap::Parser;
use remora_parsers::Registry;
use tracing::level_filters::LevelFilter;

use crate::Config;

/// Exit status when the command line or a directory that it names is wrong.
pub const EXIT_USAGE: u8 = 64;
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

Exit status:
  0   stopped by SIGTERM or SIGINT
  64  wrong flags, or a directory that cannot be used
  70  the agent could not go on (a bug: sidecars keep what they have)";

/// Watches pods, namespaces and policies in a directory and serves each pod its
/// slice of policy over a unix socket of its own.
///
/// A file that cannot be read keeps what it last said, a policy that is refused
/// keeps its last good version; where none is known, the pods that it is about
/// are closed. The log names the file, the line and the remedy.
#[derive(Clone, Debug, Parser)]
#[command(name = "remora-agent", version, after_help = EXAMPLE, max_term_width = 100)]
pub struct Options {
    /// Directory of manifests to watch
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,

    /// Directory for the pods' sockets; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub sockets: PathBuf,

    /// Uid and gid of the sidecars: sockets belong to this group
    #[arg(long, value_name = "ID", default_value_t = 16006)]
    pub proxy_uid: u32,

    /// How much to log to stderr: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}

impl Options {
    /// What the agent makes of them.
    #[must_use]
    pub fn config(self) -> Config {
        Config {
            directory: self.dir,
            sockets: self.sockets,
            proxy_uid: self.proxy_uid,
            registry: Registry::BUILT_IN,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
        let options = Options::try_parse_from(["x", "--dir", "a", "--sockets", "b"]);
        let options = options.expect("a command line");
        assert_eq!((options.proxy_uid, options.log), (16006, LevelFilter::INFO));
    }
}
