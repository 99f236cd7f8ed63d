//! The examples of `docs/policy.md`: each policy can be enforced, and each
//! command prints what stands there.

use std::{fs, path::Path, process::Command};

use remora_parsers::Registry;
use remora_policy::{Reading, read_policy};

/// A fenced block: its language and its text.
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn blocks() -> Vec<Block> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md");
    let page = fs::read_to_string(page).expect("the page");
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                let language = language.to_owned();
                blocks.push(Block { language, text: String::new(), line: number + 2 });
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                let block = blocks.last_mut().expect("a block");
                block.text += line;
                block.text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// A whole policy, or what stands in a `spec`.
fn whole(text: &str) -> String {
    if text.contains("apiVersion: ") {
        return text.to_owned();
    }
    let spec: String = text.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n{spec}"
    )
}

#[test]
fn every_policy_of_the_page_can_be_enforced_as_it_stands() {
    let policies: Vec<_> = blocks().into_iter().filter(|block| block.language == "yaml").collect();
    assert!(policies.len() > 6, "the page has lost its examples");
    for block in policies {
        let place = format!("docs/policy.md:{}", block.line);
        for document in remora_manifest::read(&whole(&block.text), Path::new(&place)) {
            match read_policy(&document.expect("YAML"), Registry::BUILT_IN) {
                Reading::Accepted(policy) => {
                    assert!(policy.warnings.is_empty(), "{place}: {:?}", policy.warnings);
                }
                Reading::Refused(refused) => panic!("{place}: {}", refused.report()),
            }
        }
    }
}

#[test]
fn every_command_of_the_page_prints_what_stands_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut played = 0;
    for block in blocks() {
        if block.language == "json" {
            fs::write(dir.path().join("rules.json"), &block.text).expect("written");
        }
        let named = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
        if let Some(name) = named.filter(|_| block.language == "yaml") {
            fs::write(dir.path().join(name), &block.text).expect("written");
        }
        if block.language != "console" {
            continue;
        }
        for example in block.text.split("$ remora ").skip(1) {
            let (command, expected) = example.split_once('\n').expect("a command");
            let output = Command::new(env!("CARGO_BIN_EXE_remora"))
                .args(command.split_whitespace())
                .current_dir(dir.path())
                .output()
                .expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                said,
                expected,
                "docs/policy.md:{}: {command}: {}",
                block.line,
                String::from_utf8_lossy(&output.stderr)
            );
            played += 1;
        }
    }
    assert!(played > 7, "{played} commands");
}
