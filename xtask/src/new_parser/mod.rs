//! `new-parser`: a skeleton that builds, passes its tests and can be named by
//! policies, to be filled with a real protocol.

mod edit;
mod name;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

pub(crate) use name::Name;

/// The file that lists modules and protocols.
const LIBRARY: &str = "parsers/src/lib.rs";

/// What is made: where, and from which text. `{name}` is the protocol's name,
/// `{NAME}` the same in capitals, `{Type}` as Rust's types are called.
const TEMPLATES: [(&str, &str); 7] = [
    ("parsers/src/{name}/mod.rs", include_str!("template/mod.rs.txt")),
    ("parsers/src/{name}/parser.rs", include_str!("template/parser.rs.txt")),
    ("parsers/tests/{name}.rs", include_str!("template/tests.rs.txt")),
    ("cli/tests/transcripts/{name}/policy.yaml", include_str!("template/policy.yaml")),
    (
        "cli/tests/transcripts/{name}/allowed.transcript",
        include_str!("template/allowed.transcript"),
    ),
    ("cli/tests/transcripts/{name}/closed.transcript", include_str!("template/closed.transcript")),
    ("docs/protocols/{name}.md", include_str!("template/page.md")),
];

/// Makes a parser in the workspace at `root`; returns what was written.
///
/// # Errors
/// A place that is taken, or one to be edited that is not as it was. Nothing
/// has been written then.
pub(crate) fn make(root: &Path, name: &Name) -> Result<Vec<PathBuf>> {
    let library = root.join(LIBRARY);
    let text = fs::read_to_string(&library).with_context(|| show(&library))?;
    let edited = edit::library(&text, name).with_context(|| show(&library))?;
    let files: Vec<_> = TEMPLATES
        .iter()
        .map(|(path, template)| (root.join(name.fill(path)), name.fill(template)))
        .collect();
    let taken = |path: &Path| path.exists() || is_taken_folder(root, path);
    if let Some((taken, _)) = files.iter().find(|(path, _)| taken(path)) {
        bail!("{} is there already: choose another name, or remove it", show(taken));
    }
    for (path, content) in &files {
        let folder = path.parent().context("a path without a folder")?;
        fs::create_dir_all(folder).with_context(|| show(folder))?;
        let mut file = File::create_new(path).with_context(|| show(path))?;
        file.write_all(content.as_bytes()).with_context(|| show(path))?;
    }
    fs::write(&library, edited).with_context(|| show(&library))?;
    Ok(files.into_iter().map(|(path, _)| path).chain([library]).collect())
}

/// A folder that would be the parser's own, but has something in it.
fn is_taken_folder(root: &Path, path: &Path) -> bool {
    let shared = ["parsers/tests", "docs/protocols"].map(|folder| root.join(folder));
    let own = path.parent().filter(|folder| shared.iter().all(|shared| shared != folder));
    own.is_some_and(Path::exists)
}

/// What is left to do, for whoever has made one.
pub(crate) fn next_steps(name: &Name) -> String {
    name.fill(
        "\n{name} is a protocol now, of three commands that no server speaks. Try it:\n\n    \
         cargo test -p remora-parsers --test {name}\n    \
         cargo run -p remora-cli -- policy test --policy cli/tests/transcripts/{name}/policy.yaml \\\n        \
         --from role=reader --to app={name} --port 4040 cli/tests/transcripts/{name}/allowed.transcript\n\n\
         Then make it yours: docs/writing-a-parser.md, from step 6 on. What users will notice goes into\n\
         CHANGELOG.md and the README's table, attacks into docs/threats.md.",
    )
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
