//! What a pod chooses about its sidecar in numbers: how it stops, and how wide it works.

#[cfg(test)]
mod tests;

use remora_manifest::Field;

use crate::InjectError;
use crate::limits::Unit;
use crate::settings::find;

/// One number.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) annotation: &'static str,
    pub(crate) variable: &'static str,
    unit: Unit,
    least: u64,
    most: u64,
}

/// All of them. Where a pod says nothing, the sidecar's own defaults hold.
pub(crate) const NUMBERS: [Number; 3] = [
    Number {
        annotation: DRAIN_DELAY,
        variable: "REMORA_DRAIN_DELAY_SECONDS",
        unit: Unit::Seconds,
        least: 0,
        most: 3600,
    },
    Number {
        annotation: "remora.dev/drain-timeout",
        variable: "REMORA_DRAIN_SECONDS",
        unit: Unit::Seconds,
        least: 0,
        most: 3600,
    },
    Number {
        annotation: THREADS,
        variable: THREADS_VARIABLE,
        unit: Unit::Number,
        least: 1,
        most: 64,
    },
];

/// How long the app may work on after the pod was told to end.
pub(crate) const DRAIN_DELAY: &str = "remora.dev/drain-delay";
/// How many threads judge connections.
pub(crate) const THREADS: &str = "remora.dev/threads";
/// What tells the sidecar.
pub(crate) const THREADS_VARIABLE: &str = "REMORA_THREADS";

/// The variables that these annotations amount to.
pub(crate) fn variables(
    annotations: Option<&Field<'_>>,
) -> Result<Vec<(&'static str, String)>, InjectError> {
    let mut variables = Vec::new();
    for number in &NUMBERS {
        if let Some(field) = find(annotations, number.annotation)? {
            variables.push((number.variable, number.read(&field)?.to_string()));
        }
    }
    Ok(variables)
}

impl Number {
    fn read(&self, field: &Field<'_>) -> Result<u64, InjectError> {
        let text = field.string()?;
        match self.unit.parse(text) {
            Some(value) if (self.least..=self.most).contains(&value) => Ok(value),
            _ => {
                let (least, most) = (self.unit.write(self.least), self.unit.write(self.most));
                let problem = format!("`{text}` is none of {least} to {most}");
                Err(field.error(problem, format!("write one from {least} to {most}")).into())
            }
        }
    }
}
