//! `remora policy validate`: errors and warnings before anything is applied.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use remora_parsers::{KeyKind, Registry};
use remora_policy::{Peer, PeerRule, Peers, Policy, Reading, Selector};
use serde_json::{Value, json};

use super::{EX_REFUSED, EX_UNREADABLE, Output, load, pods};

const AFTER_HELP: &str = "\
Example:
  remora policy validate policy.yaml --pods pods.yaml
where pods.yaml is what `kubectl get pods,namespaces -A -o yaml` prints.

Errors are what the agent would refuse, and warnings what it would report in the
policy's status. Besides, it warns of regular expressions that mean something
else in Cilium, where they match anywhere in a value and not all of it, and,
given pods, of selectors that select none of them.

Exit status: 0 all can be enforced; 2 a policy is refused; 3 a file cannot be
read; 64 wrong arguments.";

/// Reads policies, and says what is wrong with them.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Manifests of policies, or JSON lists of rules.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Manifests of pods and namespaces that the selectors are tried on.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pods: Vec<PathBuf>,
    /// Lines for people, or one JSON object.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What there is to say about one policy.
struct Verdict {
    place: String,
    kind: &'static str,
    name: String,
    errors: Vec<Value>,
    /// The same, for people.
    lines: Vec<String>,
    warnings: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> io::Result<ExitCode> {
    let (mut verdicts, mut unreadable) = (Vec::new(), Vec::new());
    let pods::Cluster { pods, .. } = pods::read(&args.pods).unwrap_or_else(|error| {
        unreadable.push(error);
        pods::Cluster::default()
    });
    for loaded in load::files(&args.files) {
        unreadable.extend(loaded.unreadable);
        let policies = loaded.policies.into_iter();
        verdicts.extend(policies.map(|(place, reading)| judge(place, reading, &pods)));
    }
    let refused = verdicts.iter().any(|verdict| !verdict.errors.is_empty());
    match args.output {
        Output::Text => text(&verdicts, &unreadable, out)?,
        Output::Json => json(&verdicts, &unreadable, out)?,
    }
    Ok(match (unreadable.is_empty(), refused) {
        (false, _) => ExitCode::from(EX_UNREADABLE),
        (true, true) => ExitCode::from(EX_REFUSED),
        (true, false) => ExitCode::SUCCESS,
    })
}

fn judge(place: String, reading: Reading, pods: &[pods::Pod]) -> Verdict {
    match reading {
        Reading::Accepted(policy) => {
            let mut warnings = policy.warnings.clone();
            warnings.extend(expressions(&policy));
            if !pods.is_empty() {
                warnings.extend(selects_nobody(&policy, pods));
            }
            let (kind, name) = (policy.kind.name(), policy.name.to_string());
            Verdict { place, kind, name, errors: Vec::new(), lines: Vec::new(), warnings }
        }
        Reading::Refused(refused) => Verdict {
            place,
            kind: refused.kind.name(),
            name: refused.name.to_string(),
            lines: refused.errors.iter().map(ToString::to_string).collect(),
            errors: refused
                .errors
                .iter()
                .map(|error| {
                    json!({"file": error.file, "line": error.line, "field": error.field, "message": error.message})
                })
                .collect(),
            warnings: refused.warnings,
        },
    }
}

fn text(verdicts: &[Verdict], unreadable: &[String], out: &mut dyn Write) -> io::Result<()> {
    for error in unreadable {
        writeln!(out, "error: {error}")?;
    }
    for verdict in verdicts {
        for line in &verdict.lines {
            writeln!(out, "error: {line}")?;
        }
        for warning in &verdict.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        let Verdict { place, kind, name, .. } = verdict;
        let outcome = match verdict.errors.is_empty() {
            true => "can be enforced",
            false => "is REFUSED, and what it selects would be closed",
        };
        writeln!(out, "{place}: {kind} {name} {outcome}")?;
    }
    Ok(())
}

fn json(verdicts: &[Verdict], unreadable: &[String], out: &mut dyn Write) -> io::Result<()> {
    let policies: Vec<_> = verdicts
        .iter()
        .map(|own| {
            json!({"place": own.place, "kind": own.kind, "name": own.name, "accepted": own.errors.is_empty(), "errors": own.errors, "warnings": own.warnings})
        })
        .collect();
    writeln!(out, "{}", json!({"policies": policies, "unreadable": unreadable}))
}

/// All rules of a policy, both ways.
fn rules(policy: &Policy) -> impl Iterator<Item = &PeerRule> {
    let sections = policy.rules.iter().flat_map(|rule| rule.ingress.iter().chain(&rule.egress));
    sections.flat_map(|section| section.allow.iter().chain(&section.deny))
}

/// Expressions that would match more in Cilium.
fn expressions(policy: &Policy) -> Vec<String> {
    let ports = rules(policy).flat_map(|rule| rule.ports.iter().flatten());
    let mut warnings = Vec::new();
    for filter in ports.filter_map(|port| port.l7.as_ref()) {
        let Some(protocol) = Registry::BUILT_IN.find(filter.protocol) else { continue };
        let regexes: Vec<_> = protocol
            .keys
            .iter()
            .filter(|key| matches!(key.kind, KeyKind::Regex))
            .map(|key| key.name)
            .collect();
        for rule in &filter.rules {
            for (key, value) in rule.keys.iter().filter(|(key, _)| regexes.contains(&key.as_str()))
            {
                if !is_anchored(value) {
                    warnings.push(format!(
                        "{}.{key}: `{value}` matches whole values only, where Cilium's parsers found it anywhere in one; write `.*{value}.*` for that",
                        rule.path
                    ));
                }
            }
        }
    }
    warnings
}

/// Whether an expression says itself what stands before and after it.
fn is_anchored(expression: &str) -> bool {
    let begins = ["^", "\\A", ".*"].iter().any(|own| expression.starts_with(own));
    let ends = ["$", "\\z", ".*"].iter().any(|own| expression.ends_with(own));
    begins && ends
}

fn selects_nobody(policy: &Policy, pods: &[pods::Pod]) -> Vec<String> {
    let selects = |selector: &Selector| pods.iter().any(|pod| selector.matches(&pod.labels));
    let mut warnings = Vec::new();
    for rule in policy.rules.iter().filter(|rule| !selects(&rule.subject)) {
        warnings.push(format!("{} endpointSelector: selects no pod of those given", rule.path));
    }
    for rule in rules(policy) {
        let Peers::These(peers) = &rule.peers else { continue };
        for (index, peer) in peers.iter().enumerate() {
            if let Peer::Endpoints(selector) = peer
                && !selector.names_a_reserved()
                && !selects(selector)
            {
                warnings.push(format!(
                    "{}: its {} selector selects no pod of those given",
                    rule.path,
                    ordinal(index)
                ));
            }
        }
    }
    warnings
}

fn ordinal(index: usize) -> String {
    match index {
        0 => "first".to_owned(),
        1 => "second".to_owned(),
        2 => "third".to_owned(),
        more => format!("{}th", more.saturating_add(1)),
    }
}
