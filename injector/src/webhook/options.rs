//! The command line.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use clap::{Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use super::app::WebhookConfig;
use crate::admission::{Ceiling, Install, Skips};
use crate::{AGENT_URL, AgentAddress, InjectConfig, Limits, ProxyMode, Setting};

/// Exit status when the command line is wrong.
pub const EXIT_USAGE: u8 = 64;
/// Exit status when the API server does not give what is needed.
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit status when it cannot go on.
pub const EXIT_SOFTWARE: u8 = 70;

const STATUSES: &str = "\
Exit status:
  0   done, or stopped by SIGTERM or SIGINT
  64  wrong flags, or an address that cannot be listened at
  69  the API server could not be reached, or refused what is needed
  70  it could not go on (a bug)";

/// Puts Remora into pods as they are created: the webhook, and what an installation runs
/// beside it.
#[derive(Clone, Debug, Parser)]
#[command(name = "remora-injector", version, after_help = STATUSES, max_term_width = 100)]
pub struct Options {
    /// What to do
    #[command(subcommand)]
    pub command: Command,

    /// How much to log to stderr: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", global = true)]
    pub log: LevelFilter,
}

/// What there is to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Answer the API server's reviews of pods
    Webhook(Box<Serve>),
    /// Remove the webhook's configuration, so that nothing is asked of it any more
    RemoveWebhooks {
        /// Name of the MutatingWebhookConfiguration
        #[arg(long, value_name = "NAME", default_value = "remora-injector")]
        name: String,
    },
    /// Have a pod reviewed as the API server would, without creating it
    Try {
        /// Name of the MutatingWebhookConfiguration
        #[arg(long, value_name = "NAME", default_value = "remora-injector")]
        name: String,
    },
}

/// Answers reviews of pods over TLS, with the certificate of a Secret that may change at any
/// time.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Namespace of the installation, in which nothing is injected
    #[arg(long, value_name = "NAMESPACE", default_value = "remora")]
    namespace: String,

    /// Where API servers call
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = anywhere(16030))]
    listen: SocketAddr,

    /// Where to serve /metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = anywhere(16020))]
    metrics: SocketAddr,

    /// Where to serve /readyz and /livez
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = anywhere(16021))]
    health: SocketAddr,

    /// The Secret with the certificate (tls.crt) and its key (tls.key)
    #[arg(long, value_name = "NAME", default_value = "remora-injector-tls")]
    secret: String,

    /// Where the proxy of a new pod stands: sidecar, or node for that of its node
    #[arg(long, value_name = "MODE", default_value = ProxyMode::Sidecar.word())]
    mode: ProxyMode,

    /// Where the sidecars reach the agent
    #[arg(long, value_name = "URL", default_value = AGENT_URL)]
    agent: String,

    /// The image of the init container
    #[arg(long, value_name = "IMAGE", default_value_t = InjectConfig::default().init_image)]
    init_image: String,

    /// The image of the sidecar
    #[arg(long, value_name = "IMAGE", default_value_t = InjectConfig::default().sidecar_image)]
    sidecar_image: String,

    /// The most CPU that a pod may ask for its sidecar, such as 2
    #[arg(long, value_name = "QUANTITY")]
    most_cpu: Option<String>,

    /// The most memory that a pod may ask for its sidecar, such as 512Mi
    #[arg(long, value_name = "QUANTITY")]
    most_memory: Option<String>,

    /// The most threads that a pod may ask for its sidecar
    #[arg(long, value_name = "NUMBER")]
    most_threads: Option<u64>,

    /// A limit of what peers may cost a sidecar, by its annotation; pods may only tighten it
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Setting>,

    /// Incoming ports and ranges that pods of enforced namespaces may skip
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    enforced_skip_inbound_ports: Vec<String>,

    /// Outgoing ports and ranges that pods of enforced namespaces may skip
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    enforced_skip_outbound_ports: Vec<String>,

    /// Networks to which connections of pods of enforced namespaces may skip the sidecar
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    enforced_skip_outbound_cidrs: Vec<String>,

    /// Name of this replica among the others [default: the name of the host, which is the pod's]
    #[arg(long, value_name = "NAME")]
    replica: Option<String>,
}

impl Serve {
    /// What the webhook makes of it.
    ///
    /// # Errors
    /// A quantity that is none.
    pub fn config(self) -> Result<WebhookConfig, String> {
        let ceiling = Ceiling::new(self.most_cpu.as_deref(), self.most_memory.as_deref())?
            .threads(self.most_threads);
        let inject = InjectConfig {
            mode: self.mode,
            agent: AgentAddress::Url(self.agent),
            init_image: self.init_image,
            sidecar_image: self.sidecar_image,
            limits: self.limits.into_iter().fold(Limits::default(), Limits::with),
        };
        let skips = Skips {
            inbound_ports: self.enforced_skip_inbound_ports,
            outbound_ports: self.enforced_skip_outbound_ports,
            outbound_cidrs: self.enforced_skip_outbound_cidrs,
        };
        Ok(WebhookConfig {
            namespace: self.namespace,
            replica: self.replica.unwrap_or_else(hostname),
            listen: self.listen,
            metrics: self.metrics,
            health: self.health,
            secret: self.secret,
            install: Install { inject, ceiling, skips },
        })
    }
}

/// A pod's name is that of its host.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => format!("remora-injector-{}", std::process::id()),
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
        let line = "x webhook --most-cpu 2 --limit remora.dev/idle-timeout=2h --log debug";
        let options = parse(line).expect("a command line");
        assert_eq!(options.log, LevelFilter::DEBUG);
        let Command::Webhook(serve) = options.command else { panic!("webhook") };
        let config = serve.config().expect("a configuration");
        assert_eq!((config.listen.port(), config.secret.as_str()), (16030, "remora-injector-tls"));
        assert_ne!(config.install.ceiling, Ceiling::default());
        assert_ne!(config.install.inject.limits, Limits::default());
        let error = parse("x webhook --limit remora.dev/idle=2h").expect_err("refused").to_string();
        assert!(error.contains("is no limit"), "{error}");
        let Command::Webhook(serve) = parse("x webhook --most-cpu x").expect("fine").command else {
            panic!("webhook")
        };
        assert!(serve.config().is_err());
        let Command::Webhook(serve) = parse("x webhook --mode node").expect("fine").command else {
            panic!("webhook")
        };
        let mode = serve.config().expect("a configuration").install.inject.mode;
        assert_eq!((mode, config.install.inject.mode), (ProxyMode::Node, ProxyMode::Sidecar));
        let error = parse("x webhook --mode pod").expect_err("refused").to_string();
        assert!(error.contains("write sidecar or node"), "{error}");
        assert!(
            parse("x").is_err() && parse("x try").is_ok() && parse("x remove-webhooks").is_ok()
        );
    }
}
