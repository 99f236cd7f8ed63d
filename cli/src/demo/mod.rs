//! `remora demo`: a real memcached and a droid behind real sidecars, on this
//! machine and without a cluster.
//!
//! Every pod is a manifest, injected as the webhook would, and run as a kubelet
//! would in a network namespace of its own; a real agent serves the policies
//! from a directory. What the policies promise is compared with what happened,
//! row by row.

mod client;
pub(crate) mod droid;
mod manifests;
mod needs;
mod stage;
mod stories;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use needs::Missing;
use stage::Stage;
use stories::Story;
use table::{Report, Style};

/// The exit code for a machine that lacks something the demo needs.
const EX_MISSING: u8 = 2;

/// What `remora demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Play this story only.
    #[arg(long, value_name = "STORY")]
    only: Option<Story>,
    /// Play a story with a real Cassandra, too. It takes half a minute more and
    /// 768 MB of memory; `cargo xtask demo --cassandra` brings what it needs.
    #[arg(long)]
    cassandra: bool,
    /// Show audit mode: what policy would deny passes, and stands in the log.
    #[arg(long, conflicts_with = "only")]
    audit: bool,
    /// Keep the logs of the agent and of all containers, and say where.
    #[arg(long)]
    keep_logs: bool,
}

/// Plays the demo: 0 if every row came true, 1 if not, 2 if this machine lacks
/// something, which is then said.
pub(crate) fn run(args: &Args) -> ExitCode {
    let report = match play(args) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("remora demo: {error:#}");
            let missing = error.downcast_ref::<Missing>().is_some();
            return if missing { ExitCode::from(EX_MISSING) } else { ExitCode::FAILURE };
        }
    };
    let written = if args.json {
        writeln!(io::stdout(), "{}", report.to_json())
    } else {
        let style = if io::stdout().is_terminal() { Style::Coloured } else { Style::Plain };
        write!(io::stdout(), "{}", report.table(style))
    };
    if written.is_ok() && report.came_true() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play(args: &Args) -> Result<Report> {
    let begun = Instant::now();
    let with_cassandra = args.cassandra || args.only == Some(Story::Cassandra);
    let programs = needs::check(with_cassandra)?;
    let stage = Stage::set(&programs)?;
    let only = args.only.or(args.audit.then_some(Story::Audit));
    let unasked = Story::ALL.into_iter().filter(|story| {
        let asked_for = *story != Story::Cassandra || with_cassandra;
        asked_for && only.is_none()
    });
    let chosen = unasked.chain(only);
    if !with_cassandra && only.is_none() {
        stage::say("leaving out Cassandra, which is large: `--cassandra` plays it, too");
    }
    let mut rows = Vec::new();
    let mut outcome = Ok(());
    for story in chosen {
        stage::say(story.announcement());
        outcome = story.play(&stage).map(|played| rows.extend(played));
        if outcome.is_err() {
            break;
        }
    }
    if args.keep_logs {
        stage::say(&format!("the logs are in {}", stage.keep_logs()?.display()));
    }
    outcome.map(|()| Report { rows, time: begun.elapsed() })
}
