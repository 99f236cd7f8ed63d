//! The injector's process: flags, log, signals and exit status.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use remora_injector::webhook::{
    App, Command, EXIT_SOFTWARE, EXIT_USAGE, Options, StartError, WebhookConfig, remove_webhooks,
    start_log, try_out,
};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(answer) => {
            // Help and version are answers, not errors; nobody is left to tell if printing fails.
            let _ = answer.print();
            return ExitCode::from(if answer.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    start_log(options.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome =
        runtime.context("starting the runtime").and_then(|runtime| runtime.block_on(run(options)));
    outcome.unwrap_or_else(|error| {
        let status = error.downcast_ref().map_or(EXIT_SOFTWARE, StartError::exit_status);
        tracing::error!("{error:#}");
        ExitCode::from(status)
    })
}

async fn run(options: Options) -> anyhow::Result<ExitCode> {
    match options.command {
        Command::Webhook(serve) => {
            return serve_until_told(serve.config().map_err(StartError::Usage)?).await;
        }
        Command::RemoveWebhooks { name } => remove_webhooks(App::client().await?, &name).await?,
        Command::Try { name } => {
            for line in try_out(App::client().await?, &name).await? {
                println!("{line}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve_until_told(config: WebhookConfig) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let mut running = App::start(config, App::client().await?).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = running.wait() => return Ok(ExitCode::from(EXIT_SOFTWARE)),
    }
    running.shutdown().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
