//! How a partner is started, as its adapter says.

use anyhow::{Result, ensure};

/// A program, its arguments and its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) words: Vec<String>,
}

impl CommandLine {
    /// A word a line; those before the program that look like `NAME=value` are
    /// its environment, as for `env`.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut lines = text.lines().peekable();
        let mut environment = Vec::new();
        while let Some((name, value)) = lines.peek().and_then(|line| variable(line)) {
            environment.push((name.to_owned(), value.to_owned()));
            lines.next();
        }
        let words: Vec<_> = lines.map(str::to_owned).collect();
        ensure!(words.first().is_some_and(|word| word.starts_with('/')), "no absolute path in it");
        Ok(Self { environment, words })
    }

    pub(crate) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some((name, value))
}
