//! The command line.

use std::num::NonZeroU16;

use clap::{Parser, Subcommand};

use crate::Redirection;

/// Redirects a pod's inbound TCP traffic to Remora's sidecar.
///
/// Runs in the pod's network namespace before anything else in the pod, as root with
/// NET_ADMIN and nothing more. It needs the commands iptables, ip6tables and their -restore
/// (nf_tables variants). Running it again changes nothing.
#[derive(Debug, Parser)]
#[command(name = "remora-init", version, args_conflicts_with_subcommands = true)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What to program.
    #[command(flatten)]
    pub program: Program,
    /// What to do instead of programming.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The redirection.
#[derive(Debug, clap::Args)]
pub struct Program {
    /// Where the sidecar accepts redirected connections
    #[arg(long, value_name = "PORT", default_value = "16006")]
    pub inbound_port: NonZeroU16,
    /// Whom the sidecar runs as. Inbound redirection needs no exception for it; it is
    /// checked, because root as the proxy would exempt half the pod from redirection
    #[arg(long, value_name = "UID", default_value = "16006",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub proxy_uid: u32,
    /// A port whose connections go to the application directly, without any policy;
    /// may be given several times
    #[arg(long = "exclude-port", value_name = "PORT")]
    pub excluded_ports: Vec<NonZeroU16>,
    /// Print what would be given to iptables-restore, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What to do instead of programming.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take our chain, and every jump to it, out of both families
    Cleanup {
        /// Print what would be given to iptables-restore, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl From<&Program> for Redirection {
    fn from(program: &Program) -> Self {
        Self {
            inbound_port: program.inbound_port.get(),
            excluded_ports: program.excluded_ports.iter().map(|port| port.get()).collect(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  remora-init                        redirect everything but the sidecar's own ports
  remora-init --exclude-port 9090    leave port 9090 alone
  remora-init --dry-run              show the rules
  remora-init cleanup                take everything back

Never redirected: connections over loopback, and the ports of the sidecar
itself (16000, 16001, the inbound port, 16020, 16021).

Exit status:
  0  done
  1  the kernel or iptables refused, or the rules are not what was asked for
  2  wrong arguments
  3  a command is missing from the image
  4  NET_ADMIN is missing
  5  the kernel lacks NAT for a family that the pod needs
Whenever it is not 0, no family was left half redirected.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_an_injected_manifest_says_is_understood() {
        let line = ["remora-init", "--inbound-port", "16006", "--proxy-uid", "16006"];
        let args = Args::try_parse_from(line).expect("valid");
        let expected = Redirection { inbound_port: 16006, excluded_ports: vec![] };
        assert_eq!(Redirection::from(&args.program), expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for flags in [
            ["--inbound-port", "0"],
            ["--inbound-port", "65536"],
            ["--proxy-uid", "0"],
            ["--exclude-port", "http"],
            ["--exclude-port", "0"],
        ] {
            assert!(Args::try_parse_from(["remora-init", flags[0], flags[1]]).is_err());
        }
        assert!(Args::try_parse_from(["remora-init", "--dry-run", "cleanup"]).is_err());
    }
}
