//! The command line.

use std::num::NonZeroU16;

use clap::{Parser, Subcommand};

use crate::{Cidr, Ports, Redirection};

/// Redirects a pod's TCP traffic, both what comes in and what goes out, to Remora's sidecar.
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
    pub rules: Rules,
    /// Print what would be given to iptables-restore, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What to do instead of programming.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The redirection.
#[derive(Debug, clap::Args)]
pub struct Rules {
    /// Where the sidecar accepts redirected connections that come in
    #[arg(long, value_name = "PORT", default_value = "16006")]
    pub inbound_port: NonZeroU16,
    /// Where the sidecar accepts redirected connections that go out, on loopback
    #[arg(long, value_name = "PORT", default_value = "16001")]
    pub outbound_port: NonZeroU16,
    /// Whom the sidecar runs as: its own connections are not redirected to it. Never root,
    /// whom half of a pod may run as
    #[arg(long, value_name = "UID", default_value = "16006",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub proxy_uid: u32,
    /// Ports of the application that others reach directly, without any policy:
    /// numbers and ranges, separated by commas
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub skip_inbound_ports: Vec<Ports>,
    /// Ports of others that the application reaches directly, without any policy
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub skip_outbound_ports: Vec<Ports>,
    /// Addresses and networks that the application reaches directly, without any policy
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    pub skip_outbound_cidrs: Vec<Cidr>,
}

/// What to do instead of programming.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check that exactly these rules are in force, and say what is missing
    Verify(Rules),
    /// Take our chains, and every jump to them, out of both families
    Cleanup {
        /// Print what would be given to iptables-restore, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl From<&Rules> for Redirection {
    fn from(rules: &Rules) -> Self {
        Self {
            inbound_port: rules.inbound_port.get(),
            outbound_port: rules.outbound_port.get(),
            proxy_uid: rules.proxy_uid,
            skip_inbound_ports: rules.skip_inbound_ports.clone(),
            skip_outbound_ports: rules.skip_outbound_ports.clone(),
            skip_outbound_cidrs: rules.skip_outbound_cidrs.clone(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  remora-init                               redirect all TCP but the sidecar's own
  remora-init --skip-inbound-ports 9090     leave port 9090 of the application alone
  remora-init --skip-outbound-cidrs 10.9.0.0/16,fd09::/32
                                            leave connections to these networks alone
  remora-init --dry-run                     show the rules
  remora-init verify                        are these rules in force, and no others?
  remora-init cleanup                       take everything back

Never redirected: connections over loopback and to the pod's own addresses,
those that the proxy's uid makes, and those to ports of the sidecar itself
(16000, 16020, 16021, the inbound and the outbound port).

Dropped: what connection tracking takes for invalid, and connections that are
older than the rules. Both would pass without being redirected.

Exit status:
  0  done; verify: in force
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
        let line = [
            "remora-init",
            "--inbound-port",
            "16006",
            "--outbound-port",
            "16001",
            "--proxy-uid",
            "16006",
            "--skip-inbound-ports",
            "9090,9100-9110",
            "--skip-outbound-cidrs",
            "10.9.0.0/16,fd09::/32",
        ];
        let args = Args::try_parse_from(line).expect("valid");
        let cidrs = ["10.9.0.0/16", "fd09::/32"].map(|cidr| cidr.parse().expect("a network"));
        let expected = Redirection {
            inbound_port: 16006,
            outbound_port: 16001,
            proxy_uid: 16006,
            skip_inbound_ports: vec![9090.into(), "9100-9110".parse().expect("a range")],
            skip_outbound_ports: vec![],
            skip_outbound_cidrs: cidrs.to_vec(),
        };
        assert_eq!(Redirection::from(&args.rules), expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for flags in [
            ["--inbound-port", "0"],
            ["--outbound-port", "65536"],
            ["--proxy-uid", "0"],
            ["--skip-inbound-ports", "http"],
            ["--skip-inbound-ports", "1,"],
            ["--skip-outbound-ports", "0"],
            ["--skip-outbound-cidrs", "10.0.0.1/8"],
        ] {
            assert!(Args::try_parse_from(["remora-init", flags[0], flags[1]]).is_err());
            assert!(Args::try_parse_from(["remora-init", "verify", flags[0], flags[1]]).is_err());
        }
        assert!(Args::try_parse_from(["remora-init", "--dry-run", "cleanup"]).is_err());
    }
}
