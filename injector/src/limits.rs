//! What a pod's peers may cost its sidecar: how long they may take, how many they may be.
//!
//! An installation sets each limit, and a pod's annotation may only make it tighter. What
//! the limits mean is in `docs/limits.md`; a test holds names and defaults here to the
//! sidecar's own.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use remora_manifest::Field;

use crate::InjectError;

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The pod's annotation.
    pub annotation: &'static str,
    /// The sidecar's variable.
    pub variable: &'static str,
    /// What its value counts.
    pub unit: Unit,
    /// The tightest that can be asked for.
    pub least: u64,
    /// What holds where nobody asks for anything.
    pub default: u64,
}

/// What a limit counts, which is how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `10s`, `5m`, `1h`
    Seconds,
    /// `1000`
    Number,
    /// `1048576`, `64Mi`, `1Gi`
    Bytes,
}

const fn limit(names: [&'static str; 2], unit: Unit, least: u64, default: u64) -> Limit {
    Limit { annotation: names[0], variable: names[1], unit, least, default }
}

/// All limits, in the order of the documentation.
pub const LIMITS: [Limit; 8] = [
    limit(["remora.dev/first-byte-timeout", "REMORA_FIRST_BYTE_SECONDS"], Unit::Seconds, 1, 10),
    limit(["remora.dev/frame-timeout", "REMORA_FRAME_SECONDS"], Unit::Seconds, 1, 10),
    limit(["remora.dev/idle-timeout", "REMORA_IDLE_SECONDS"], Unit::Seconds, 1, 3600),
    limit(["remora.dev/peer-timeout", "REMORA_PEER_SECONDS"], Unit::Seconds, 1, 30),
    limit(["remora.dev/max-connections", "REMORA_MAX_CONNECTIONS"], Unit::Number, 1, 10_000),
    limit(
        ["remora.dev/max-connections-per-source", "REMORA_MAX_CONNECTIONS_PER_SOURCE"],
        Unit::Number,
        1,
        5_000,
    ),
    limit(["remora.dev/max-held-bytes", "REMORA_MAX_HELD_BYTES"], Unit::Bytes, 1 << 20, 256 << 20),
    limit(
        ["remora.dev/max-denials-per-second", "REMORA_MAX_DENIALS_PER_SECOND"],
        Unit::Number,
        1,
        10_000,
    ),
];

/// The limits of an installation, which pods may tighten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits([u64; LIMITS.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(LIMITS.map(|limit| limit.default))
    }
}

/// One limit as an installation sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    at: usize,
    value: u64,
}

impl FromStr for Setting {
    type Err = String;

    /// `NAME=VALUE`, where the name is the annotation's and the value wider than the default
    /// or tighter; or what is wrong with it, in words for who installs.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err("is no NAME=VALUE, such as remora.dev/idle-timeout=2h".to_owned());
        };
        let Some(at) = LIMITS.iter().position(|limit| limit.annotation == name) else {
            let names = LIMITS.map(|limit| limit.annotation).join(", ");
            return Err(format!("`{name}` is no limit; write one of {names}"));
        };
        let limit = LIMITS[at];
        match limit.unit.parse(value) {
            Some(number) if number >= limit.least => Ok(Self { at, value: number }),
            _ => Err(format!("{}; {}", limit.problem(value), limit.remedy(u64::MAX))),
        }
    }
}

impl Limits {
    /// The same, but for one limit.
    #[must_use]
    pub fn with(mut self, setting: Setting) -> Self {
        self.0[setting.at] = setting.value;
        self
    }

    /// What a pod with these annotations gets: the variables that differ from what the
    /// sidecar does anyway.
    pub(crate) fn variables(
        &self,
        annotations: Option<&Field<'_>>,
    ) -> Result<Vec<(&'static str, String)>, InjectError> {
        let mut variables = Vec::new();
        for (limit, installed) in LIMITS.iter().zip(self.0) {
            let value = limit.of(annotations, installed)?;
            if value != limit.default {
                variables.push((limit.variable, value.to_string()));
            }
        }
        Ok(variables)
    }
}

impl Limit {
    fn of(&self, annotations: Option<&Field<'_>>, installed: u64) -> Result<u64, InjectError> {
        let given = annotations.map_or(Ok(None), |all| all.get(self.annotation))?;
        let Some(field) = given else { return Ok(installed) };
        let text = field.string()?;
        match self.unit.parse(text) {
            Some(value) if (self.least..=installed).contains(&value) => Ok(value),
            Some(value) if value > installed => {
                let most = self.unit.write(installed);
                let problem = format!("is more than this installation's {most}");
                let remedy = format!("write at most {most}, or have the installation allow more");
                Err(field.error(problem, remedy).into())
            }
            _ => Err(field.error(self.problem(text), self.remedy(installed)).into()),
        }
    }

    fn problem(&self, text: &str) -> String {
        let what = match self.unit {
            Unit::Seconds => "time",
            Unit::Number => "whole number",
            Unit::Bytes => "number of bytes",
        };
        match self.unit.parse(text) {
            Some(_) => format!("is less than {}", self.unit.write(self.least)),
            None => format!("`{text}` is no {what}"),
        }
    }

    fn remedy(&self, most: u64) -> String {
        let least = self.unit.write(self.least);
        match most {
            u64::MAX => format!("write at least {least}"),
            most => format!("write one from {least} to {}", self.unit.write(most)),
        }
    }
}

/// Suffixes and what they stand for, the largest first.
const TIMES: [(&str, u64); 3] = [("h", 3600), ("m", 60), ("s", 1)];
const SIZES: [(&str, u64); 4] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)];
const NUMBERS: [(&str, u64); 1] = [("", 1)];

impl Unit {
    fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Seconds => &TIMES,
            Self::Number => &NUMBERS,
            Self::Bytes => &SIZES,
        }
    }

    /// Digits and one of the suffixes, and nothing else.
    pub(crate) fn parse(self, text: &str) -> Option<u64> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        let (_, factor) = self.suffixes().iter().find(|(known, _)| *known == suffix)?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    }

    /// As short as it can be read back.
    pub(crate) fn write(self, value: u64) -> String {
        let whole = |factor: &u64| value != 0 && value.is_multiple_of(*factor);
        let fitting = self.suffixes().iter().find(|(_, factor)| whole(factor));
        let (suffix, factor) = fitting.or(self.suffixes().last()).copied().unwrap_or(("", 1));
        format!("{}{suffix}", value / factor)
    }
}
