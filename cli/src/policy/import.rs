//! `remora policy import`: from the JSON lists of `cilium policy import` to manifests.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use remora_manifest::to_yaml;
use remora_parsers::Registry;
use remora_policy::{Reading, is_policy, read_policy};

use super::{EX_REFUSED, EX_UNREADABLE, load};

const AFTER_HELP: &str = "\
Example:
  remora policy import rules.json --namespace shop | kubectl apply -f -

A list of rules is a JSON array whose entries have an `endpointSelector`. Without
a namespace they are about pods of every one, as in Cilium, and become a
ClusterL7Policy; with one, an L7Policy. Its name is that of the file. What cannot
be enforced is refused as `remora policy validate` does, and nothing is printed.

Exit status: 0 printed; 2 a rule is refused; 3 a file cannot be read; 64 wrong
arguments.";

/// Prints the policy that says the same as a list of rules.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// JSON lists of rules.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The namespace that the rules are about.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> io::Result<ExitCode> {
    let mut manifests = Vec::new();
    for file in &args.files {
        let documents =
            load::documents(file).and_then(|all| all.into_iter().collect::<Result<Vec<_>, _>>());
        let documents = match documents {
            Ok(documents) => documents,
            Err(error) => {
                eprintln!("remora: {error}");
                return Ok(ExitCode::from(EX_UNREADABLE));
            }
        };
        for document in documents {
            let node = load::manifest(document, args.namespace.as_deref(), file);
            if !is_policy(&node) {
                eprintln!(
                    "remora: {}: is no list of rules: each has an `endpointSelector`",
                    file.display()
                );
                return Ok(ExitCode::from(EX_UNREADABLE));
            }
            if let Reading::Refused(refused) = read_policy(&node, Registry::BUILT_IN) {
                eprintln!("remora: {}", refused.report());
                return Ok(ExitCode::from(EX_REFUSED));
            }
            manifests.push(to_yaml(&node.to_json()));
        }
    }
    for (index, manifest) in manifests.iter().enumerate() {
        let between = if index == 0 { "" } else { "---\n" };
        write!(out, "{between}{manifest}")?;
    }
    Ok(ExitCode::SUCCESS)
}
