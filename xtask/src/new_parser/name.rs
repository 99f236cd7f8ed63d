//! The name of a protocol: in policies, as a module and as a file.

use std::{fmt, str::FromStr};

/// The longest name, in characters.
const LONGEST: usize = 24;

/// Words that Rust keeps for itself and modules that the crate has for others.
const RESERVED: [&str; 50] = [
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "contract",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "fuzz",
    "gen",
    "if",
    "impl",
    "in",
    "laws",
    "let",
    "line",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "support",
    "trait",
    "transcript",
    "true",
    "try",
    "type",
    "use",
];

/// A name that all three places take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

/// Why a text is no name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameError {
    /// It is empty, or too long.
    Length(usize),
    /// A character that has no place there, and which place, from 1.
    Character(char, usize),
    /// It means something else.
    Reserved(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => {
                write!(f, "a name of {length} characters: take 1 to {LONGEST}")
            }
            Self::Character(character, 1) => {
                write!(f, "begins with {character:?}: begin with one of a to z")
            }
            Self::Character(character, place) => {
                write!(f, "has {character:?} at place {place}: take a to z, 0 to 9 and _")
            }
            Self::Reserved(name) => {
                write!(
                    f,
                    "`{name}` means something else in Rust or in the crate: `{name}_protocol` would do"
                )
            }
        }
    }
}

impl std::error::Error for NameError {}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length == 0 || length > LONGEST {
            return Err(NameError::Length(length));
        }
        let fits = |place: usize, character: char| match place {
            0 => character.is_ascii_lowercase(),
            _ => matches!(character, 'a'..='z' | '0'..='9' | '_'),
        };
        if let Some((place, character)) =
            text.chars().enumerate().find(|(place, character)| !fits(*place, *character))
        {
            return Err(NameError::Character(character, place + 1));
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Name {
    /// As it stands in policies and paths.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a type is called: `line_protocol` becomes `LineProtocol`.
    fn of_type(&self) -> String {
        self.0
            .split('_')
            .map(|word| {
                let (first, rest) = word.split_at(word.len().min(1));
                first.to_ascii_uppercase() + rest
            })
            .collect()
    }

    /// Puts the name into a template.
    pub(crate) fn fill(&self, template: &str) -> String {
        template.replace("{name}", &self.0).replace("{Type}", &self.of_type())
    }
}
