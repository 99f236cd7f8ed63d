//! Which Pods cannot run with Remora.

#[cfg(test)]
mod tests;

use remora_manifest::{Field, FieldPath};

use crate::config::{OWN_PORTS, OWN_VOLUMES, PROXY_UID};
use crate::workload::Workload;
use crate::{INIT_CONTAINER, InjectError, SIDECAR_CONTAINER};

/// Every kind of container that a pod has.
pub(crate) const CONTAINER_LISTS: [&str; 3] =
    ["initContainers", "containers", "ephemeralContainers"];

/// Containers that redirect a pod's traffic, and the mesh that they belong to. Two
/// redirections in one pod would fight over the same connections.
pub(crate) const REDIRECTORS: [(&str, &str); 11] = [
    ("consul-connect-inject-init", "Consul"),
    ("consul-dataplane", "Consul"),
    ("envoy-sidecar", "Consul"),
    ("istio-init", "Istio"),
    ("istio-proxy", "Istio"),
    ("istio-validation", "Istio"),
    ("kuma-init", "Kuma"),
    ("kuma-sidecar", "Kuma"),
    ("linkerd-init", "Linkerd"),
    ("linkerd-network-validator", "Linkerd"),
    ("linkerd-proxy", "Linkerd"),
];

/// That containers and volumes are lists of maps with names.
pub(crate) fn shape(template: &Field<'_>) -> Result<(), InjectError> {
    let spec = template.require("spec")?;
    for name in CONTAINER_LISTS.into_iter().chain(["volumes"]) {
        for item in items(&spec, name)? {
            item.require("name")?.string()?;
        }
    }
    Ok(())
}

/// That a pod which carries nothing of ours can be injected.
pub(crate) fn injectable(template: &Field<'_>, workload: &Workload) -> Result<(), InjectError> {
    shape(template)?;
    if workload.is_pod() {
        has_a_name(template)?;
    }
    let spec = template.require("spec")?;
    host_network(&spec)?;
    security_context(&spec)?;
    for volume in items(&spec, "volumes")? {
        let name = volume.require("name")?;
        if OWN_VOLUMES.contains(&name.string()?) {
            return Err(foreign(&name));
        }
    }
    let mut names = Vec::new();
    for list in CONTAINER_LISTS {
        for item in items(&spec, list)? {
            container(&item)?;
            let name = item.require("name")?;
            // Their probes would share one path on the health port.
            if names.contains(&name.string()?) {
                let problem = format!("`{}` is the name of another container", name.string()?);
                return Err(name.error(problem, "rename one of the two").into());
            }
            names.push(name.string()?);
        }
    }
    Ok(())
}

fn has_a_name(pod: &Field<'_>) -> Result<(), InjectError> {
    let metadata = pod.require("metadata")?;
    for name in ["name", "generateName"] {
        if let Some(field) = metadata.get_given(name)? {
            field.string()?;
            return Ok(());
        }
    }
    let field = metadata.path.key("name");
    Err(InjectError::new(field, "is missing", "give the Pod a name or a generateName"))
}

/// The directory of a pod's agent socket. It has the pod's name in it, so the name must be
/// known, and harmless.
pub(crate) fn socket_directory(
    template: &Field<'_>,
    workload: &Workload,
) -> Result<String, InjectError> {
    if !workload.is_pod() {
        let problem = format!("is {}, whose pods have no names yet", workload.kind());
        let remedy = "inject Pods where agents have sockets, \
                      or let the sidecars reach the agent at its URL";
        return Err(InjectError::new(FieldPath::root().key("kind"), problem, remedy));
    }
    let metadata = template.require("metadata")?;
    let Some(name) = metadata.get_given("name")? else {
        let remedy = "give the Pod a name: its agent socket is named after it, \
                      and generateName is settled too late for that";
        return Err(InjectError::new(metadata.path.key("name"), "is missing", remedy));
    };
    if !is_dns_name(name.string()?, 253) {
        let remedy = "use lower-case letters, digits, '-' and '.'";
        return Err(name.error("is no name that a Pod can have", remedy).into());
    }
    let namespace = match metadata.get_given("namespace")? {
        None => "default",
        Some(field) if is_dns_name(field.string()?, 63) && !field.string()?.contains('.') => {
            field.string()?
        }
        Some(field) => {
            let remedy = "use lower-case letters, digits and '-'";
            return Err(field.error("is no name that a namespace can have", remedy).into());
        }
    };
    Ok(format!("{namespace}_{}", name.string()?))
}

fn host_network(spec: &Field<'_>) -> Result<(), InjectError> {
    match spec.get_given("hostNetwork")? {
        Some(field) if field.boolean()? => {
            let remedy = "give the Pod its own network: \
                          on the node's, redirection would catch every pod's traffic";
            Err(field.error("is true", remedy).into())
        }
        _ => Ok(()),
    }
}

fn container(container: &Field<'_>) -> Result<(), InjectError> {
    let field = container.require("name")?;
    let name = field.string()?;
    if name == INIT_CONTAINER || name == SIDECAR_CONTAINER {
        return Err(foreign(&field));
    }
    if let Some((_, mesh)) = REDIRECTORS.iter().find(|(redirector, _)| *redirector == name) {
        let problem = format!("`{name}` redirects this pod's traffic for {mesh}");
        return Err(field.error(problem, format!("take the pod out of {mesh} first")).into());
    }
    if !is_dns_name(name, 63) || name.contains('.') {
        let remedy = "use lower-case letters, digits and '-'";
        return Err(field.error("is no name that a container can have", remedy).into());
    }
    security_context(container)?;
    ports(container)?;
    own_mounts(container)
}

/// Nobody but the proxy may be the proxy: its traffic is not redirected, its socket is its own.
fn security_context(of: &Field<'_>) -> Result<(), InjectError> {
    let Some(context) = of.get_given("securityContext")? else { return Ok(()) };
    let mut ids = items(&context, "supplementalGroups")?;
    for name in ["runAsUser", "runAsGroup", "fsGroup"] {
        ids.extend(context.get_given(name)?);
    }
    for id in ids {
        if id.integer()? == i64::from(PROXY_UID) {
            let problem = format!("{PROXY_UID} is the id of Remora's proxy");
            return Err(id.error(problem, "use another id").into());
        }
    }
    Ok(())
}

fn ports(container: &Field<'_>) -> Result<(), InjectError> {
    for entry in items(container, "ports")? {
        let is_tcp = match entry.get_given("protocol")? {
            None => true,
            Some(protocol) => protocol.string()? == "TCP",
        };
        let port = entry.require("containerPort")?;
        let number = port.integer()?;
        if is_tcp && OWN_PORTS.iter().any(|own| i64::from(*own) == number) {
            let problem = format!("{number} is a port of Remora's sidecar");
            return Err(port.error(problem, "let the application listen elsewhere").into());
        }
    }
    Ok(())
}

/// Socket, CA bundle and token are for the sidecar alone.
fn own_mounts(container: &Field<'_>) -> Result<(), InjectError> {
    for mount in items(container, "volumeMounts")? {
        let name = mount.require("name")?;
        if OWN_VOLUMES.contains(&name.string()?) {
            let problem = format!("`{}` is for Remora's sidecar alone", name.string()?);
            return Err(name.error(problem, "remove the mount").into());
        }
    }
    Ok(())
}

/// Something under our names that we did not add: a fake would run in our place.
fn foreign(name: &Field<'_>) -> InjectError {
    let problem = "is a name of Remora's, on something that Remora did not add";
    name.error(problem, "rename it, or remove it").into()
}

/// The entries of a list that may be absent.
pub(crate) fn items<'a>(parent: &Field<'a>, name: &str) -> Result<Vec<Field<'a>>, InjectError> {
    match parent.get_given(name)? {
        None => Ok(Vec::new()),
        Some(list) => Ok(list.items()?.collect()),
    }
}

/// RFC 1123 names as Kubernetes has them: no slash, so no way out of a directory.
fn is_dns_name(name: &str, longest: usize) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= longest && name.split('.').all(is_label)
}
