//! Reads variables one by one, and collects all that is wrong with them.

use std::{fmt, net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use tracing::level_filters::LevelFilter;

use super::ConfigError;
use crate::{
    access_log::{Format, Options, RATE},
    limits::Limit,
};

/// Variables from any source.
pub(super) struct Reader<F> {
    get: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    pub(super) fn new(get: F) -> Self {
        Self { get, problems: Vec::new() }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }

    pub(super) fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// A value; one that is empty is none.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        (self.get)(name).filter(|value| !value.is_empty())
    }

    /// A value that the injected manifest takes from a field of the pod.
    pub(super) fn required(&mut self, name: &str, field: &str) -> String {
        self.value(name).unwrap_or_else(|| {
            self.problem(name, format_args!("is not set; take it from the fieldRef {field}"));
            String::new()
        })
    }

    /// The pod's own addresses: those that are ever dialled.
    pub(super) fn pod_ips(&mut self) -> Vec<IpAddr> {
        let name = "REMORA_POD_IPS";
        let text = self.required(name, "status.podIPs");
        let mut own = Vec::new();
        for ip in self.ips(name, &text) {
            if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
                self.problem(name, format_args!("{ip} cannot be a pod's own address"));
            } else {
                own.push(ip);
            }
        }
        own
    }

    /// The node's addresses; none where they are not told.
    pub(super) fn host_ips(&mut self) -> Vec<IpAddr> {
        let name = "REMORA_HOST_IP";
        let text = self.value(name).unwrap_or_default();
        self.ips(name, &text)
    }

    fn ips(&mut self, name: &str, text: &str) -> Vec<IpAddr> {
        let mut ips = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.trim().parse::<IpAddr>() {
                Ok(ip) => ips.push(ip.to_canonical()),
                Err(_) => {
                    self.problem(
                        name,
                        format_args!("`{part}` is no IP address; separate by commas"),
                    );
                }
            }
        }
        ips
    }

    pub(super) fn port(&mut self, name: &str, default: u16) -> u16 {
        let Some(value) = self.value(name) else { return default };
        value.parse().unwrap_or_else(|_| {
            self.problem(name, format_args!("`{value}` is no port; say a number up to 65535"));
            default
        })
    }

    /// A number within a limit's range.
    pub(super) fn limit(&mut self, limit: &Limit) -> u64 {
        self.number(limit.variable, limit.bounds(), limit.default)
    }

    /// How the access log looks and what it shows.
    pub(super) fn access_log(&mut self) -> Options {
        let name = "REMORA_ACCESS_LOG";
        let format = match self.value(name).as_deref() {
            None | Some("json") => Format::Json,
            Some("text") => Format::Text,
            Some(other) => {
                self.problem(name, format_args!("`{other}` is no format; say json or text"));
                Format::Json
            }
        };
        let shown = self.value("REMORA_ACCESS_LOG_FIELDS").unwrap_or_default();
        let shown = shown.split(',').map(str::trim).filter(|name| !name.is_empty());
        let name = "REMORA_ACCESS_LOG_SOCKET";
        let socket = self.value(name).map(PathBuf::from);
        if socket.as_ref().is_some_and(|path| !path.is_absolute()) {
            self.problem(name, "is no absolute path of a socket");
        }
        let rate = self.number("REMORA_ACCESS_LOG_RATE", 1..=1_000_000, RATE);
        Options { format, shown: shown.map(str::to_owned).collect(), rate, socket }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &str, bounds: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.value(name) else { return default };
        match value.parse() {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let (least, most) = (bounds.start(), bounds.end());
                self.problem(name, format_args!("`{value}` is no number from {least} to {most}"));
                default
            }
        }
    }

    /// A file's absolute path, or none.
    pub(super) fn snapshot(&mut self) -> Option<PathBuf> {
        let name = "REMORA_SNAPSHOT";
        let path = PathBuf::from(self.value(name)?);
        if path.is_absolute() && path.file_name().is_some() {
            return Some(path);
        }
        self.problem(name, format_args!("`{}` is no absolute path of a file", path.display()));
        None
    }

    /// Whole seconds within bounds.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        bounds: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        let Some(value) = self.value(name) else { return default };
        match value.parse() {
            Ok(seconds) if bounds.contains(&seconds) => Duration::from_secs(seconds),
            _ => {
                let (least, most) = (bounds.start(), bounds.end());
                self.problem(
                    name,
                    format_args!("`{value}` is no number of seconds from {least} to {most}"),
                );
                default
            }
        }
    }

    pub(super) fn log(&mut self) -> LevelFilter {
        let name = "REMORA_LOG";
        let Some(value) = self.value(name) else { return LevelFilter::INFO };
        value.parse().unwrap_or_else(|_| {
            self.problem(
                name,
                format_args!("`{value}` is no level; say off, error, warn, info, debug or trace"),
            );
            LevelFilter::INFO
        })
    }
}
