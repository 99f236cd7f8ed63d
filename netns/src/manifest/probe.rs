//! Startup, readiness and liveness probes, and lifecycle hooks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::fields::Fields;
use crate::Result;

/// The probes of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probes {
    pub(crate) startup: Option<Probe>,
    pub(crate) readiness: Option<Probe>,
    pub(crate) liveness: Option<Probe>,
}

/// What is called once a container has started, and before it is stopped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) post_start: Option<Check>,
    pub(crate) pre_stop: Option<Check>,
}

/// A probe and its timing, with the API's defaults.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) check: Check,
    pub(crate) initial_delay: Duration,
    pub(crate) period: Duration,
    pub(crate) timeout: Duration,
    pub(crate) failure_threshold: u32,
    pub(crate) success_threshold: u32,
}

/// What a probe or hook asks.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// A command in the container: exit code 0.
    Exec(Vec<String>),
    /// The port accepts a connection from the node.
    TcpSocket { host: Option<String>, port: u16 },
    /// GET from the node: a status from 200 to 399.
    HttpGet(HttpGet),
}

/// A GET, by default to the pod itself.
#[derive(Debug, Clone)]
pub(crate) struct HttpGet {
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Hooks {
    pub(super) fn read(container: &mut Fields<'_>, ports: &BTreeMap<String, u16>) -> Result<Self> {
        let mut lifecycle = container.child("lifecycle")?;
        let mut hook = |key| {
            if lifecycle.value(key).is_none() {
                return Ok(None);
            }
            let mut fields = lifecycle.child(key)?;
            let check = Check::read(&mut fields, ports)?;
            if matches!(check, Check::TcpSocket { .. }) {
                return Err(fields.error("tcpSocket", "no kubelet honours this in a hook"));
            }
            fields.finish().map(|()| Some(check))
        };
        let hooks = Self { post_start: hook("postStart")?, pre_stop: hook("preStop")? };
        lifecycle.finish()?;
        Ok(hooks)
    }
}

impl Probes {
    pub(super) fn read(container: &mut Fields<'_>, ports: &BTreeMap<String, u16>) -> Result<Self> {
        let mut probe = |key| match container.value(key) {
            None => Ok(None),
            Some(_) => Probe::read(container.child(key)?, ports).map(Some),
        };
        Ok(Self {
            startup: probe("startupProbe")?,
            readiness: probe("readinessProbe")?,
            liveness: probe("livenessProbe")?,
        })
    }
}

impl Probe {
    fn read(mut fields: Fields<'_>, ports: &BTreeMap<String, u16>) -> Result<Self> {
        let check = Check::read(&mut fields, ports)?;
        let mut number = |key, default| fields.u32(key).map(|given| given.unwrap_or(default));
        let seconds = |count: u32| Duration::from_secs(count.into());
        let probe = Self {
            check,
            initial_delay: seconds(number("initialDelaySeconds", 0)?),
            period: seconds(number("periodSeconds", 10)?.max(1)),
            timeout: seconds(number("timeoutSeconds", 1)?.max(1)),
            failure_threshold: number("failureThreshold", 3)?.max(1),
            success_threshold: number("successThreshold", 1)?.max(1),
        };
        fields.finish()?;
        Ok(probe)
    }
}

impl Check {
    fn read(probe: &mut Fields<'_>, ports: &BTreeMap<String, u16>) -> Result<Self> {
        let kinds = ["exec", "tcpSocket", "httpGet"].map(|key| probe.value(key).is_some());
        match kinds {
            [true, false, false] => {
                let mut exec = probe.child("exec")?;
                let argv = exec.strings("command")?.filter(|argv| !argv.is_empty());
                let argv = argv.ok_or_else(|| exec.error("command", "is required"))?;
                exec.finish()?;
                Ok(Self::Exec(argv))
            }
            [false, true, false] => {
                let mut tcp = probe.child("tcpSocket")?;
                let check = Self::TcpSocket {
                    host: tcp.str("host")?.map(str::to_owned),
                    port: port(&mut tcp, ports)?,
                };
                tcp.finish()?;
                Ok(check)
            }
            [false, false, true] => Self::http_get(probe.child("httpGet")?, ports),
            _ => Err(probe.error("exec", "one of exec, tcpSocket and httpGet is needed here")),
        }
    }

    fn http_get(mut get: Fields<'_>, ports: &BTreeMap<String, u16>) -> Result<Self> {
        get.only("scheme", &json!("HTTP"))?;
        let mut headers = Vec::new();
        for (item, path) in get.list("httpHeaders")? {
            let mut header = Fields::of(item, path)?;
            headers.push((
                header.required_str("name")?.to_owned(),
                header.required_str("value")?.to_owned(),
            ));
            header.finish()?;
        }
        let request = HttpGet {
            host: get.str("host")?.map(str::to_owned),
            port: port(&mut get, ports)?,
            path: get.str("path")?.unwrap_or("/").to_owned(),
            headers,
        };
        get.finish()?;
        Ok(Self::HttpGet(request))
    }
}

/// A port by its number or by the name that the container gives it.
fn port(fields: &mut Fields<'_>, ports: &BTreeMap<String, u16>) -> Result<u16> {
    let port = match fields.value("port") {
        Some(Value::String(name)) => ports.get(name).copied(),
        Some(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        None => None,
    };
    port.ok_or_else(|| {
        fields.error("port", "must be a port number or the name of one of the container's ports")
    })
}
