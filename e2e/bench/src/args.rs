//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures proxies against each other, in network namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "remora-bench", disable_version_flag = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure, and write the report
    Run(Options),
    /// Be the server of the bulk workloads, in a pod
    Serve {
        /// Where to listen
        port: u16,
    },
    /// Give one proxy its certificate, in a pod, as Linkerd's identity service does
    Certify {
        /// Where to listen, on loopback
        port: u16,
        /// The certificate, in DER
        certificate: PathBuf,
    },
}

/// What is measured, and where the report goes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder with remora-sidecar, remora-agent and remora-init
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: PathBuf,
    /// The folder of adapters
    #[arg(long, value_name = "DIR")]
    pub(crate) partners: PathBuf,
    /// Where report.html, results.json and figures go
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Short windows and few rounds: enough for the budget, not for a report
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the parts whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Only these partners; may be repeated. `direct` always takes part
    #[arg(long, value_name = "NAME")]
    pub(crate) partner: Vec<String>,
    /// Hold the ratios to this file, and fail when one is broken
    #[arg(long, value_name = "FILE")]
    pub(crate) budget: Option<PathBuf>,
    /// Write the tables into this page, and its figure beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) docs: Option<PathBuf>,
}

impl Options {
    /// Whether a part was asked for.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| part.contains(name.as_str()))
    }

    /// Whether a partner was asked for.
    pub(crate) fn wants_partner(&self, partner: &str) -> bool {
        self.partner.is_empty() || self.partner.iter().any(|name| name == partner)
    }
}
