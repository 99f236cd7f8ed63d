//! What a pod's own annotations say about its sidecar.

#[cfg(test)]
mod tests;

use remora_manifest::{Field, Segment};
use serde_json::{Map, Value, json};

use crate::limits::{LIMITS, Limits};
use crate::numbers::{self, NUMBERS};
use crate::quantity::Quantity;
use crate::skip::{self, SKIP_INBOUND_PORTS, SKIP_OUTBOUND_CIDRS, SKIP_OUTBOUND_PORTS};
use crate::workload::Workload;
use crate::{ANNOTATION_PREFIX, InjectError, STATUS_ANNOTATION};

pub(crate) const LOG_LEVEL: &str = "remora.dev/log-level";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const DEFAULT_LEVEL: &str = "info";

const ACCESS_LOG: &str = "remora.dev/access-log";
const FORMATS: [&str; 2] = ["json", "text"];
const ACCESS_LOG_FIELDS: &str = "remora.dev/access-log-fields";
/// More than the fields of any protocol take.
const MAX_FIELDS_BYTES: usize = 256;

/// A thousandth of a core, and 8 MiB, are what a sidecar cannot do without. The upper ends
/// are beyond all use: what exceeds them is a slip of the unit.
const CPU: Resource = Resource {
    name: "cpu",
    request: Setting { annotation: "remora.dev/cpu-request", default: Some("10m") },
    limit: Setting { annotation: "remora.dev/cpu-limit", default: None },
    least: (Quantity::thousandths(1), "1m"),
    most: (Quantity::thousandths(64_000), "64"),
    example: "250m",
};
/// An idle sidecar stays below 8 MiB; the default limit leaves room for connections' buffers.
const MEMORY: Resource = Resource {
    name: "memory",
    request: Setting { annotation: "remora.dev/memory-request", default: Some("16Mi") },
    limit: Setting { annotation: "remora.dev/memory-limit", default: Some("64Mi") },
    least: (Quantity::mebi(8), "8Mi"),
    most: (Quantity::mebi(64 << 10), "64Gi"),
    example: "128Mi",
};

/// The annotations that say what the sidecar may use.
pub(crate) const RESOURCES: [&str; 4] = [
    CPU.request.annotation,
    CPU.limit.annotation,
    MEMORY.request.annotation,
    MEMORY.limit.annotation,
];

/// Every annotation of ours that may be on a pod, beside numbers and limits.
const KNOWN: [&str; 11] = [
    STATUS_ANNOTATION,
    CPU.request.annotation,
    CPU.limit.annotation,
    MEMORY.request.annotation,
    MEMORY.limit.annotation,
    LOG_LEVEL,
    ACCESS_LOG,
    ACCESS_LOG_FIELDS,
    SKIP_INBOUND_PORTS,
    SKIP_OUTBOUND_PORTS,
    SKIP_OUTBOUND_CIDRS,
];

/// What a pod chooses for its sidecar.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) log_level: String,
    /// Variables of what is not as usual: limits, numbers, and the access log.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The sidecar's `resources`.
    pub(crate) resources: Value,
    /// What the init container is told to leave alone: flags and their values.
    pub(crate) skips: Vec<String>,
}

struct Resource {
    name: &'static str,
    request: Setting,
    limit: Setting,
    least: (Quantity, &'static str),
    most: (Quantity, &'static str),
    example: &'static str,
}

struct Setting {
    annotation: &'static str,
    default: Option<&'static str>,
}

/// A request or limit: as it was written, as it compares, and where, unless it is the default.
struct Amount<'a> {
    text: &'a str,
    quantity: Quantity,
    field: Option<Field<'a>>,
}

impl Settings {
    /// The settings on a template. An annotation of ours that we do not know is a slip of
    /// whoever wrote it, and so is one on the object around the template, where it would do
    /// nothing.
    pub(crate) fn read(
        object: &Field<'_>,
        workload: &Workload,
        template: &Field<'_>,
        installed: &Limits,
    ) -> Result<Self, InjectError> {
        if !workload.is_pod()
            && let Some(annotations) = annotations(object)?
        {
            none_of_ours(&annotations, workload, template)?;
        }
        let annotations = annotations(template)?;
        if let Some(annotations) = &annotations {
            all_of_ours_known(annotations)?;
        }
        let (mut requests, mut limits) = (Map::new(), Map::new());
        for resource in [&CPU, &MEMORY] {
            let (request, limit) = resource.read(annotations.as_ref())?;
            let given = |amount: Amount<'_>| (resource.name.to_owned(), amount.text.into());
            requests.extend(request.map(given));
            limits.extend(limit.map(given));
        }
        let resources = json!({"requests": requests, "limits": limits});
        let annotations = annotations.as_ref();
        let mut variables = installed.variables(annotations)?;
        variables.extend(numbers::variables(annotations)?);
        variables.extend(access_log(annotations)?);
        Ok(Self {
            log_level: log_level(annotations)?,
            variables,
            resources,
            skips: skip::read(annotations)?,
        })
    }
}

impl Resource {
    /// Request and limit, which have to fit each other.
    fn read<'a>(
        &self,
        annotations: Option<&Field<'a>>,
    ) -> Result<(Option<Amount<'a>>, Option<Amount<'a>>), InjectError> {
        let request = self.amount(&self.request, annotations)?;
        let limit = self.amount(&self.limit, annotations)?;
        if let (Some(request), Some(limit)) = (&request, &limit)
            && limit.quantity < request.quantity
        {
            let fit = |other: &Setting| format!("set {} to fit", other.annotation);
            if let Some(field) = &limit.field {
                let problem = format!("is less than the request, {}", request.text);
                return Err(field.error(problem, fit(&self.request)).into());
            }
            if let Some(field) = &request.field {
                let problem = format!("is more than the limit, {}", limit.text);
                return Err(field.error(problem, fit(&self.limit)).into());
            }
        }
        Ok((request, limit))
    }

    fn amount<'a>(
        &self,
        setting: &Setting,
        annotations: Option<&Field<'a>>,
    ) -> Result<Option<Amount<'a>>, InjectError> {
        let Some(field) = find(annotations, setting.annotation)? else {
            let usual = |text| Some(Amount { text, quantity: Quantity::parse(text)?, field: None });
            return Ok(setting.default.and_then(usual));
        };
        let text = field.string()?;
        let problem = match Quantity::parse(text) {
            None => format!("`{text}` is no quantity"),
            Some(small) if small < self.least.0 => format!("is less than {}", self.least.1),
            Some(large) if large > self.most.0 => format!("is more than {}", self.most.1),
            Some(quantity) => return Ok(Some(Amount { text, quantity, field: Some(field) })),
        };
        let (least, most) = (self.least.1, self.most.1);
        let remedy = format!("write one from {least} to {most}, such as {}", self.example);
        Err(field.error(problem, remedy).into())
    }
}

fn log_level(annotations: Option<&Field<'_>>) -> Result<String, InjectError> {
    let Some(field) = find(annotations, LOG_LEVEL)? else { return Ok(DEFAULT_LEVEL.to_owned()) };
    match field.string()? {
        level if LEVELS.contains(&level) => Ok(level.to_owned()),
        other => {
            let remedy = format!("write one of {}", LEVELS.join(", "));
            Err(field.error(format!("`{other}` is no log level"), remedy).into())
        }
    }
}

/// The access log's format, and the fields whose values it shows.
fn access_log(annotations: Option<&Field<'_>>) -> Result<Vec<(&'static str, String)>, InjectError> {
    let mut variables = Vec::new();
    if let Some(field) = find(annotations, ACCESS_LOG)? {
        let format = field.string()?;
        if !FORMATS.contains(&format) {
            let remedy = format!("write one of {}", FORMATS.join(", "));
            return Err(field.error(format!("`{format}` is no format of the log"), remedy).into());
        }
        variables.push(("REMORA_ACCESS_LOG", format.to_owned()));
    }
    if let Some(field) = find(annotations, ACCESS_LOG_FIELDS)? {
        let names = field.string()?;
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let listed = names.len() <= MAX_FIELDS_BYTES && names.split(',').all(is_name);
        if names != "*" && !listed {
            let remedy = "write names of fields with commas between, such as key,file, or *";
            return Err(field.error("is no list of a request's fields", remedy).into());
        }
        variables.push(("REMORA_ACCESS_LOG_FIELDS", names.to_owned()));
    }
    Ok(variables)
}

fn all_of_ours_known(annotations: &Field<'_>) -> Result<(), InjectError> {
    let limits = LIMITS.iter().map(|limit| limit.annotation);
    let numbers = NUMBERS.iter().map(|number| number.annotation);
    let known: Vec<&str> = KNOWN.into_iter().chain(numbers).chain(limits).collect();
    for error in annotations.unknown(&known)? {
        if matches!(error.path.segments().last(), Some(Segment::Key(name)) if is_ours(name)) {
            let problem = "is no annotation of Remora's";
            return Err(InjectError::new(error.path, problem, error.remedy));
        }
    }
    Ok(())
}

/// Annotations of ours on a Deployment do nothing: those of its template count.
fn none_of_ours(
    annotations: &Field<'_>,
    workload: &Workload,
    template: &Field<'_>,
) -> Result<(), InjectError> {
    for (key, field) in annotations.entries()? {
        if is_ours(&key.name) {
            let problem = format!("does nothing on a {}", workload.kind());
            let remedy = format!("move it to {}.metadata.annotations", template.path);
            return Err(field.error(problem, remedy).into());
        }
    }
    Ok(())
}

fn annotations<'a>(of: &Field<'a>) -> Result<Option<Field<'a>>, InjectError> {
    match of.get_given("metadata")? {
        Some(metadata) => Ok(metadata.get_given("annotations")?),
        None => Ok(None),
    }
}

pub(crate) fn find<'a>(
    annotations: Option<&Field<'a>>,
    name: &str,
) -> Result<Option<Field<'a>>, InjectError> {
    annotations.map_or(Ok(None), |annotations| Ok(annotations.get(name)?))
}

fn is_ours(annotation: &str) -> bool {
    annotation.starts_with(ANNOTATION_PREFIX)
}
