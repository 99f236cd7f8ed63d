//! One handler of a probe or hook: read, and checked for what the sidecar can ask.

use remora_manifest::Field;
use serde_json::{Map, Value};

use crate::check::items;
use crate::config::OWN_PORTS;
use crate::{HEALTH_PORT, InjectError};

/// What the API knows; a probe or hook has one of them.
const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The longest timeout in seconds that still fits the API's number when it is one longer.
const MAX_TIMEOUT: i64 = i32::MAX as i64 - 1;

/// What the sidecar is to ask for a probe or hook; none if it is not the kubelet that calls,
/// or no call at all.
pub(super) fn question(
    call: &Field<'_>,
    container: &Field<'_>,
    is_probe: bool,
) -> Result<Option<Value>, InjectError> {
    let Some((kind, handler)) = only_handler(call)? else { return Ok(None) };
    match kind {
        "httpGet" => http_get(&handler)?,
        "tcpSocket" if is_probe => known(&handler, &["host", "port"])?,
        "grpc" if is_probe => grpc(&handler)?,
        _ => return Ok(None),
    }
    no_host(&handler)?;
    let port = port(&handler, container)?;
    let mut asked = without_nulls(&handler);
    asked.insert("port".to_owned(), port.into());
    // An empty host means none.
    asked.shift_remove("host");
    let mut question = Map::new();
    question.insert(kind.to_owned(), asked.into());
    if is_probe {
        question.insert("timeoutSeconds".to_owned(), timeout(call)?.into());
    }
    Ok(Some(question.into()))
}

fn only_handler<'a>(call: &Field<'a>) -> Result<Option<(&'static str, Field<'a>)>, InjectError> {
    let mut found = None;
    for kind in HANDLERS {
        match (call.get_given(kind)?, &found) {
            (None, _) => {}
            (Some(handler), None) => found = Some((kind, handler)),
            (Some(second), Some((first, _))) => {
                let problem = format!("stands beside {first}");
                return Err(second.error(problem, "keep one of the two").into());
            }
        }
    }
    Ok(found)
}

fn http_get(get: &Field<'_>) -> Result<(), InjectError> {
    known(get, &["host", "httpHeaders", "path", "port", "scheme"])?;
    if let Some(path) = get.get_given("path")? {
        path.string()?;
    }
    if let Some(scheme) = get.get_given("scheme")?
        && !["HTTP", "HTTPS"].contains(&scheme.string()?)
    {
        return Err(scheme.error("is no scheme of probes", "write HTTP or HTTPS").into());
    }
    for header in items(get, "httpHeaders")? {
        known(&header, &["name", "value"])?;
        let (name, value) = (header.require("name")?, header.require("value")?);
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if name.string()?.is_empty() || !name.string()?.bytes().all(is_name) {
            let remedy = "write letters, digits and '-'";
            return Err(name.error("is no name of an HTTP header", remedy).into());
        }
        if value.string()?.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            let remedy = "leave out line breaks and other control characters";
            return Err(value.error("is no value of an HTTP header", remedy).into());
        }
    }
    Ok(())
}

fn grpc(grpc: &Field<'_>) -> Result<(), InjectError> {
    known(grpc, &["port", "service"])?;
    grpc.require("port")?.integer()?;
    if let Some(service) = grpc.get_given("service")? {
        service.string()?;
    }
    Ok(())
}

/// A field that we do not know might mean something that the sidecar would leave out.
fn known(field: &Field<'_>, names: &[&str]) -> Result<(), InjectError> {
    field.unknown(names)?.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

/// The sidecar asks its own pod, and nobody else. To the kubelet, loopback is the node.
fn no_host(handler: &Field<'_>) -> Result<(), InjectError> {
    match handler.get_given("host")? {
        Some(host) if !host.string()?.is_empty() => {
            let problem =
                format!("is `{}`, and the sidecar asks its own pod alone", host.string()?);
            let remedy = "remove it, so that the pod is asked, or ask elsewhere with exec";
            Err(host.error(problem, remedy).into())
        }
        _ => Ok(()),
    }
}

/// The port's number: given, or that of the container's port with the given name.
fn port(handler: &Field<'_>, container: &Field<'_>) -> Result<u16, InjectError> {
    let field = handler.require("port")?;
    let number = match field.string() {
        Ok(name) => named_port(&field, name, container)?,
        Err(_) => field.integer()?,
    };
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| field.error("is no port", "write a number from 1 to 65535"))?;
    if OWN_PORTS.contains(&port) {
        let remedy = if port == HEALTH_PORT {
            "point it at the application; a pod that Remora was put into by hand has to lose that first"
        } else {
            "point it at the application"
        };
        return Err(field.error(format!("{port} is a port of Remora's sidecar"), remedy).into());
    }
    Ok(port)
}

fn named_port(field: &Field<'_>, name: &str, container: &Field<'_>) -> Result<i64, InjectError> {
    let mut names = Vec::new();
    for port in items(container, "ports")? {
        if let Some(given) = port.get_given("name")? {
            if given.string()? == name {
                return Ok(port.require("containerPort")?.integer()?);
            }
            names.push(given.string()?);
        }
    }
    let remedy = if names.is_empty() {
        "write the port's number, or give the container's port that name".to_owned()
    } else {
        format!("write the port's number, or one of: {}", names.join(", "))
    };
    Err(field.error(format!("`{name}` is the name of no port of this container"), remedy).into())
}

/// In seconds. The API takes 0 for its default, 1.
fn timeout(probe: &Field<'_>) -> Result<i64, InjectError> {
    let Some(field) = probe.get_given("timeoutSeconds")? else { return Ok(1) };
    match field.integer()? {
        0 => Ok(1),
        seconds if (1..=MAX_TIMEOUT).contains(&seconds) => Ok(seconds),
        _ => Err(field
            .error("is no time that a probe can take", "write whole seconds from 1")
            .into()),
    }
}

fn without_nulls(handler: &Field<'_>) -> Map<String, Value> {
    match handler.node.to_json() {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}
