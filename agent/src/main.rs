//! The agent's process: flags, log, signals and exit status.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use remora_agent::{App, EXIT_SOFTWARE, EXIT_USAGE, Mode, Options, Running, StartError, start_log};
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
        tracing::error!("{error:#}");
        ExitCode::from(EXIT_SOFTWARE)
    })
}

async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let started = tokio::select! {
        started = start(options.mode()) => started,
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::error!("{error}");
            return Ok(ExitCode::from(error.exit_status()));
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = running.wait() => return Ok(ExitCode::from(EXIT_SOFTWARE)),
    }
    running.shutdown().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn start(mode: Mode) -> Result<Running, StartError> {
    match mode {
        Mode::Directory(config) => App::start(config).await,
        Mode::Cluster(config) => App::start_in_cluster(*config).await,
    }
}
