//! `remora policy test`: byte transcripts through the real parser and policy.

mod expect;
mod json;
mod scene;
mod text;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use remora_parsers::transcript::Transcript;
use remora_policy::{Labels, TrafficDirection};

use crate::playback::{self, Played};

pub use expect::unmet;
pub use scene::Stage;

/// A refused policy.
const EX_REFUSED: u8 = 2;
/// A transcript that cannot be read.
const EX_TRANSCRIPT: u8 = 3;

const AFTER_HELP: &str = "\
A transcript is text, one arrival per line: `> STRING` from the client, `< STRING`
from the server, STRING in double quotes (\\r \\n \\t \\\\ \\\" \\xNN) or hex: and digits;
`$>` and `$<` end that direction. Comments start with #; `# expect:` says what
should come of it:
  # expect: log VERDICT [FIELD=VALUE]…     the next entry of the access log
  # expect: to-server STRING               all that the server gets
  # expect: to-client STRING               all that the client gets
  # expect: open | closed [TEXT]           the connection, and TEXT in its reason

Labels are k=v,k=v; the namespace is k8s:io.kubernetes.pod.namespace=NS.

Exit status: 0 played, whatever the verdicts; 2 the policy is refused; 3 a
transcript cannot be read; 64 wrong arguments.";

/// Plays each transcript and says what policy made of it.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A policy manifest; may be given several times.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// The client's labels.
    #[arg(long, value_name = "LABELS", default_value = "", value_parser = Labels::parse)]
    from: Labels,
    /// The server's labels.
    #[arg(long, value_name = "LABELS", default_value = "", value_parser = Labels::parse)]
    to: Labels,
    /// The server's port.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Whose policy is tried: the server's (ingress) or the client's (egress).
    #[arg(long, value_enum, default_value_t = Side::Ingress)]
    direction: Side,
    /// A table for people, or one JSON object per transcript.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Transcripts.
    #[arg(required = true, value_name = "TRANSCRIPT")]
    transcripts: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Side {
    Ingress,
    Egress,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs the command; what it has to say goes to `out`, errors to stderr.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> ExitCode {
    match try_run(args, out) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("remora: writing the result: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: &Args, out: &mut dyn Write) -> io::Result<ExitCode> {
    let direction = match args.direction {
        Side::Ingress => TrafficDirection::Ingress,
        Side::Egress => TrafficDirection::Egress,
    };
    let stage = match Stage::set(&args.policy, &args.from, &args.to, direction) {
        Ok(stage) => stage,
        Err(refusal) => return refuse(args, &refusal, out),
    };
    for warning in &stage.warnings {
        eprintln!("remora: warning: {warning}");
    }
    let mut code = ExitCode::SUCCESS;
    for path in &args.transcripts {
        match read_transcript(path) {
            Ok(transcript) => {
                let played = playback::play(&transcript, stage.scene(args.port));
                report(args.output, path, &transcript, &played, out)?;
            }
            Err(error) => {
                eprintln!("remora: {error}");
                code = ExitCode::from(EX_TRANSCRIPT);
            }
        }
    }
    Ok(code)
}

fn refuse(args: &Args, refusal: &str, out: &mut dyn Write) -> io::Result<ExitCode> {
    for path in &args.transcripts {
        match args.output {
            Output::Json => json::write_refused(path, refusal, out)?,
            Output::Text => text::write_refused(path, refusal, out)?,
        }
    }
    Ok(ExitCode::from(EX_REFUSED))
}

fn read_transcript(path: &Path) -> Result<Transcript, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    Transcript::read(&text).map_err(|error| format!("{shown}:{}: {}", error.line, error.what))
}

fn report(
    output: Output,
    path: &Path,
    transcript: &Transcript,
    played: &Played,
    out: &mut dyn Write,
) -> io::Result<()> {
    match output {
        Output::Json => json::write(path, played, out),
        Output::Text => text::write(path, transcript, played, out),
    }
}
