//! What talks to a cluster: `remora check` and `remora status`.

mod certificates;
pub(crate) mod check;
mod installed;
mod metrics;
mod pods;
mod pre;
mod report;
pub(crate) mod status;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use kube::Client;

/// How long the API server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all commands on a cluster take.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace of the installation
    #[arg(long, value_name = "NAMESPACE", default_value = "remora")]
    install_namespace: String,
    /// How to print
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Runs what needs a cluster.
pub(crate) fn run<F: Future<Output = ExitCode>>(
    target: &Target,
    work: impl FnOnce(Client) -> F,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(async { Ok(work(client(target).await?).await) }));
    outcome.unwrap_or_else(|error| {
        eprintln!("remora: no cluster: {error}; see the kubeconfig, or name a --context of it");
        ExitCode::from(2)
    })
}

async fn client(target: &Target) -> Result<Client, String> {
    let mut config = match &target.context {
        None => kube::Config::infer().await.map_err(|error| error.to_string())?,
        Some(context) => {
            let options = kube::config::KubeConfigOptions {
                context: Some(context.clone()),
                ..Default::default()
            };
            let config = kube::Config::from_kubeconfig(&options).await;
            config.map_err(|error| error.to_string())?
        }
    };
    config.connect_timeout = Some(PATIENCE);
    config.read_timeout = Some(PATIENCE);
    Client::try_from(config).map_err(|error| error.to_string())
}

/// What the API server said.
fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}
