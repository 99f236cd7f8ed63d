//! `remora check`: whether an installation works, or could.

use std::process::ExitCode;

use kube::Client;

use super::{Format, Target, installed, pre, report, run};

/// Look whether Remora works on a cluster, or could be installed there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 if nothing is wrong (warnings are not), 1 if something is, 2 if there is no cluster.

Example:
  remora check --pre && helm install remora charts/remora --namespace remora --create-namespace
  remora check")]
pub(crate) struct Args {
    /// Look whether Remora could be installed, before it is
    #[arg(long)]
    pre: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs `remora check`.
pub(crate) fn check(args: &Args) -> ExitCode {
    run(&args.target, |client| look(args, client))
}

async fn look(args: &Args, client: Client) -> ExitCode {
    let checks = match args.pre {
        true => pre::checks(&client).await,
        false => installed::checks(&client, &args.target.install_namespace).await,
    };
    match args.target.output {
        Format::Table => print!("{}", report::table(&checks)),
        Format::Json => println!("{:#}", report::json(&checks)),
    }
    ExitCode::from(u8::from(!report::is_good(&checks)))
}
