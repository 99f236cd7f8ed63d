//! The lines of `parsers/src/lib.rs` that a new protocol needs.

use anyhow::{Context as _, Result, bail};

use super::Name;

/// Begins the list of protocols that policies may name.
const REGISTRY: &str = "    pub const BUILT_IN: Self = Self(&[";

/// How long a line may be.
const WIDTH: usize = 100;

/// Adds a protocol's module and its place in the registry.
///
/// # Errors
/// The protocol is there already, or the file does not have the places.
pub(super) fn library(text: &str, name: &Name) -> Result<String> {
    registry(&module(text, name)?, name)
}

/// Modules stand in one block, in order.
fn module(text: &str, name: &Name) -> Result<String> {
    let lines: Vec<_> = text.lines().collect();
    let start = lines
        .iter()
        .position(|line| module_of(line).is_some())
        .context("has no line such as `pub mod r2d2;` to put the new one beside")?;
    let block = lines.iter().skip(start).map_while(|line| module_of(line));
    let mut place = start;
    for module in block {
        if module == name.as_str() {
            bail!("has a module `{module}` already: choose another name");
        }
        if module < name.as_str() {
            place += 1;
        }
    }
    let new = format!("pub mod {};", name.as_str());
    let (before, after) = lines.split_at(place);
    let lines: Vec<_> = before.iter().chain([&new.as_str()]).chain(after).copied().collect();
    Ok(lines.join("\n") + "\n")
}

fn module_of(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

/// Puts the protocol last into the registry, as rustfmt would write it.
fn registry(text: &str, name: &Name) -> Result<String> {
    let wanted = || format!("has no `{}…]);` to add the protocol to", REGISTRY.trim_start());
    let (before, rest) = text.split_once(REGISTRY).with_context(wanted)?;
    let (list, after) = rest.split_once("]);").with_context(wanted)?;
    let new = format!("&{}::PROTOCOL", name.as_str());
    let listed = list.split(',').map(str::trim).filter(|protocol| !protocol.is_empty());
    let protocols: Vec<_> = listed.chain([new.as_str()]).collect();
    let line = format!("{REGISTRY}{}]);", protocols.join(", "));
    let entry = if line.len() <= WIDTH {
        line
    } else {
        let lines: Vec<_> = protocols.iter().map(|one| format!("        {one},\n")).collect();
        format!("{REGISTRY}\n{}    ]);", lines.concat())
    };
    Ok(format!("{before}{entry}{after}"))
}
