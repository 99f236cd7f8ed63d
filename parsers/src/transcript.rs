//! Byte transcripts: what arrives on a connection, as text that people write.
//!
//! ```text
//! # l7proto: memcache
//! > "get a\r\n"
//! < "END\r\n"
//! > hex:67 65 74
//! $>
//! # expect: log FORWARDED command=get key=a
//! ```
//!
//! One arrival per line: `>` from the client, `<` from the server, then a
//! string in double quotes (`\r \n \t \\ \" \xNN`) or `hex:` and hex digits.
//! `$>` and `$<` end that direction. Comments start with `#`; those that start
//! with `# expect:` are kept for whoever checks them.

use crate::contract::Direction;

/// The longest transcript that is read, in bytes.
pub const MAX_TRANSCRIPT_BYTES: usize = 64 << 20;

/// A transcript, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// What arrives, in order.
    pub steps: Vec<Step>,
    /// The texts behind `# expect:`, with the lines they stand on, from 1.
    pub expectations: Vec<(usize, String)>,
    /// What `# l7proto:` says, for people: the policy decides.
    pub l7proto: Option<String>,
}

/// One arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Who speaks.
    pub from: Direction,
    /// What arrives; nothing but the end where the direction ends.
    pub arrival: Arrival,
}

/// What a step brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes.
    Data(Vec<u8>),
    /// The end of the direction.
    End,
}

/// Why a text is no transcript.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TranscriptError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Transcript {
    /// Reads a transcript's text.
    ///
    /// # Errors
    /// The first line that is none, and why.
    pub fn read(text: &str) -> Result<Self, TranscriptError> {
        let mut transcript = Self::default();
        if text.len() > MAX_TRANSCRIPT_BYTES {
            let what = format!("more than {MAX_TRANSCRIPT_BYTES} bytes of text: split it");
            return Err(TranscriptError { line: 1, what });
        }
        let mut ended = [false; 2];
        for (index, line) in text.lines().enumerate() {
            let number = index.saturating_add(1);
            transcript
                .read_line(line.trim(), number, &mut ended)
                .map_err(|what| TranscriptError { line: number, what })?;
        }
        Ok(transcript)
    }

    fn read_line(
        &mut self,
        line: &str,
        number: usize,
        ended: &mut [bool; 2],
    ) -> Result<(), String> {
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.trim();
            if let Some(text) = comment.strip_prefix("expect:") {
                self.expectations.push((number, text.trim().to_owned()));
            } else if let Some(name) = comment.strip_prefix("l7proto:") {
                self.l7proto = Some(name.trim().to_owned());
            }
            return Ok(());
        }
        if line.is_empty() {
            return Ok(());
        }
        let step = match line {
            "$>" => Step { from: Direction::Request, arrival: Arrival::End },
            "$<" => Step { from: Direction::Reply, arrival: Arrival::End },
            _ => read_data(line)?,
        };
        let [request, reply] = ended;
        let over = match step.from {
            Direction::Request => request,
            Direction::Reply => reply,
        };
        if *over {
            return Err("this direction has ended above".to_owned());
        }
        *over = step.arrival == Arrival::End;
        self.steps.push(step);
        Ok(())
    }
}

fn read_data(line: &str) -> Result<Step, String> {
    let (from, rest) = if let Some(rest) = line.strip_prefix('>') {
        (Direction::Request, rest)
    } else if let Some(rest) = line.strip_prefix('<') {
        (Direction::Reply, rest)
    } else {
        return Err(
            "an arrival starts with `>` (client) or `<` (server), an end is `$>` or `$<`, \
             a comment starts with `#`"
                .to_owned(),
        );
    };
    let rest = rest.trim();
    let bytes = if let Some(digits) = rest.strip_prefix("hex:") {
        read_hex(digits)?
    } else if let Some(quoted) = rest.strip_prefix('"') {
        read_quoted(quoted)?
    } else {
        return Err(
            "the bytes are a \"string\" in double quotes, or hex: and hex digits".to_owned()
        );
    };
    if bytes.is_empty() {
        return Err("an arrival has at least one byte".to_owned());
    }
    Ok(Step { from, arrival: Arrival::Data(bytes) })
}

fn read_hex(digits: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut high = None;
    for c in digits.chars().filter(|c| !c.is_whitespace()) {
        let digit = hex_digit(c)?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(join(high, digit)),
        }
    }
    if high.is_some() {
        return Err("an odd number of hex digits".to_owned());
    }
    Ok(bytes)
}

fn read_quoted(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    loop {
        match rest.next() {
            Some('"') => break,
            Some('\\') => bytes.push(read_escape(&mut rest)?),
            Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => return Err("the string has no closing quote".to_owned()),
        }
    }
    if rest.as_str().trim().is_empty() {
        Ok(bytes)
    } else {
        Err("something stands behind the closing quote".to_owned())
    }
}

fn read_escape(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match rest.next() {
        Some('r') => Ok(b'\r'),
        Some('n') => Ok(b'\n'),
        Some('t') => Ok(b'\t'),
        Some('\\') => Ok(b'\\'),
        Some('"') => Ok(b'"'),
        Some('x') => match (rest.next(), rest.next()) {
            (Some(high), Some(low)) => Ok(join(hex_digit(high)?, hex_digit(low)?)),
            _ => Err("\\x takes two hex digits".to_owned()),
        },
        _ => Err("the escapes are \\r \\n \\t \\\\ \\\" and \\xNN".to_owned()),
    }
}

fn hex_digit(c: char) -> Result<u8, String> {
    c.to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or_else(|| format!("`{}` is no hex digit", c.escape_default()))
}

fn join(high: u8, low: u8) -> u8 {
    high.wrapping_shl(4) | low
}
