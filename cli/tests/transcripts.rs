//! Every transcript under `transcripts/`: as expected when it arrives as
//! written, and the same at every cut.

use std::{
    fs,
    path::{Path, PathBuf},
};

use remora_cli::playback::{LogEntry, Played, play};
use remora_cli::testing::{Stage, unmet};
use remora_parsers::transcript::{Arrival, Step, Transcript};
use remora_policy::{Labels, TrafficDirection};

#[test]
fn every_transcript_means_the_same_at_every_cut() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let (mut played_ones, mut ways) = (0, 0);
    for folder in list(&root) {
        for path in list(&folder) {
            if path.extension().is_some_and(|extension| extension == "transcript") {
                ways += check(&path, &folder.join("policy.yaml"));
                played_ones += 1;
            }
        }
    }
    println!("{played_ones} transcripts, {ways} ways to cut them");
    assert!(played_ones >= 12, "transcripts are missing");
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// Plays one transcript in every way; returns in how many.
fn check(path: &Path, policy: &Path) -> usize {
    let text = fs::read_to_string(path).expect("a transcript");
    let header = |name: &str| {
        let start = format!("# {name}: ");
        let line = text.lines().find_map(|line| line.strip_prefix(start.as_str()));
        line.unwrap_or_else(|| panic!("{} has no `{start}`", path.display()))
    };
    let (from, to) = (labels(header("from")), labels(header("to")));
    let port = header("port").parse().expect("a port");
    let stage = Stage::set(&[policy.to_owned()], &from, &to, TrafficDirection::Ingress)
        .unwrap_or_else(|error| panic!("{error}"));

    let transcript = Transcript::read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(!transcript.expectations.is_empty(), "{} expects nothing", path.display());
    let whole = play(&transcript, stage.scene(port));
    let unmet = unmet(&transcript, &whole);
    assert!(unmet.is_empty(), "{}: {unmet:#?}\n{whole:#?}", path.display());

    let ways = cuts(&transcript.steps);
    let count = ways.len();
    for steps in ways {
        let cut = Transcript { steps, ..transcript.clone() };
        let played = play(&cut, stage.scene(port));
        assert_eq!(meaning(&played), meaning(&whole), "{}: {:?}", path.display(), cut.steps);
    }
    count
}

fn labels(text: &str) -> Labels {
    Labels::parse(text).expect("labels")
}

/// What must not depend on how the bytes arrive.
fn meaning(played: &Played) -> (&[u8], &[u8], Option<&str>, &[LogEntry]) {
    let reason = played.closed.as_ref().map(|(_, reason)| reason.as_str());
    (&played.to_server, &played.to_client, reason, &played.log)
}

/// Byte by byte, and with each arrival cut in two at each place.
fn cuts(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut ways = vec![steps.iter().flat_map(|step| split(step, 1)).collect::<Vec<_>>()];
    for (index, step) in steps.iter().enumerate() {
        let Arrival::Data(bytes) = &step.arrival else { continue };
        for at in 1..bytes.len() {
            let mut way = steps.to_vec();
            let parts = [&bytes[..at], &bytes[at..]].map(|part| arrival(step, part));
            way.splice(index..=index, parts);
            ways.push(way);
        }
    }
    ways
}

fn split(step: &Step, size: usize) -> Vec<Step> {
    match &step.arrival {
        Arrival::Data(bytes) => bytes.chunks(size).map(|part| arrival(step, part)).collect(),
        Arrival::End => vec![step.clone()],
    }
}

fn arrival(step: &Step, bytes: &[u8]) -> Step {
    Step { from: step.from, arrival: Arrival::Data(bytes.to_vec()) }
}
