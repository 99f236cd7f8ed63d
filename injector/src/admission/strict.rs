//! What an `enforced` namespace does not take: containers that could undo the redirection,
//! or pass for the proxy. In an `enabled` one they are worth a warning.

use remora_manifest::Field;

use super::choice::is_true;
use crate::InjectError;
use crate::check::{CONTAINER_LISTS, items};

/// Capabilities with which a container can change the pod's network.
const NETWORK: [&str; 3] = ["NET_ADMIN", "SYS_ADMIN", "ALL"];
/// Capabilities with which it can walk around the redirection: become the proxy's user, or send
/// packets below the rules. Runtimes give both to root by default.
const AROUND: [&str; 2] = ["SETUID", "NET_RAW"];

/// The first thing of a pod that an enforced namespace does not take.
pub(super) fn check(spec: &Field<'_>) -> Result<(), InjectError> {
    for list in CONTAINER_LISTS {
        for container in items(spec, list)? {
            network(&container)?;
            around(spec, &container)?;
        }
    }
    Ok(())
}

/// What to tell of a pod that an enabled namespace takes all the same.
pub(super) fn cautions(spec: &Field<'_>) -> Result<Vec<String>, InjectError> {
    let mut cautions = Vec::new();
    for list in CONTAINER_LISTS {
        for container in items(spec, list)? {
            if let Err(error) = network(&container) {
                let InjectError { field, problem, .. } = error;
                cautions.push(format!(
                    "{field} {problem}: this container can undo Remora's redirection in its pod"
                ));
            }
        }
    }
    Ok(cautions)
}

/// That a container cannot change the pod's network.
fn network(container: &Field<'_>) -> Result<(), InjectError> {
    let Some(context) = container.get_given("securityContext")? else { return Ok(()) };
    if is_true(&context, "privileged")? {
        let field = context.require("privileged")?;
        let remedy = "run it without, or in a namespace that is not enforced";
        return Err(field.error("is true", remedy).into());
    }
    match added(&context, &NETWORK)? {
        Some(field) => {
            let problem = format!("adds {}", field.string()?);
            let remedy = "remove it, or run the pod in a namespace that is not enforced";
            Err(field.error(problem, remedy).into())
        }
        None => Ok(()),
    }
}

/// That a container cannot walk around: it drops what that takes, or has no way to root.
fn around(spec: &Field<'_>, container: &Field<'_>) -> Result<(), InjectError> {
    let context = container.get_given("securityContext")?;
    let pods = spec.get_given("securityContext")?;
    if let Some(context) = &context {
        if let Some(field) = added(context, &AROUND)? {
            let problem = format!("adds {}", field.string()?);
            let remedy = "remove it: with it the app can walk around the proxy, or pass for it";
            return Err(field.error(problem, remedy).into());
        }
        if drops(context)? {
            return Ok(());
        }
        let may_not_rise = context
            .get_given("allowPrivilegeEscalation")?
            .map(|field| field.boolean())
            .transpose()?
            == Some(false);
        if may_not_rise && is_not_root([Some(context), pods.as_ref()])? {
            return Ok(());
        }
    }
    let field = container.path.key("securityContext");
    let problem =
        "leaves the container able to take the proxy's id, or to send packets below the rules";
    let remedy = "drop capability ALL, or SETUID and NET_RAW, or set allowPrivilegeEscalation \
                  false and run it as a user other than root";
    Err(InjectError::new(field, problem, remedy))
}

/// The first of these capabilities that is added; the runtime does not mind case or `CAP_`.
fn added<'a>(context: &Field<'a>, wanted: &[&str]) -> Result<Option<Field<'a>>, InjectError> {
    let Some(capabilities) = context.get_given("capabilities")? else { return Ok(None) };
    for field in items(&capabilities, "add")? {
        if wanted.contains(&bare(field.string()?).as_str()) {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

fn drops(context: &Field<'_>) -> Result<bool, InjectError> {
    let Some(capabilities) = context.get_given("capabilities")? else { return Ok(false) };
    let mut dropped = Vec::new();
    for field in items(&capabilities, "drop")? {
        dropped.push(bare(field.string()?));
    }
    let has = |wanted: &str| dropped.iter().any(|one| one == wanted);
    Ok(has("ALL") || AROUND.into_iter().all(has))
}

/// Whether the container, or the pod for it, says that it does not start as root.
fn is_not_root(contexts: [Option<&Field<'_>>; 2]) -> Result<bool, InjectError> {
    if let Some(user) = first(contexts, "runAsUser")? {
        return Ok(user.integer()? != 0);
    }
    first(contexts, "runAsNonRoot")?.map_or(Ok(false), |field| Ok(field.boolean()?))
}

/// The field as the first of these that has it has it.
fn first<'a>(
    contexts: [Option<&Field<'a>>; 2],
    name: &str,
) -> Result<Option<Field<'a>>, InjectError> {
    for context in contexts.into_iter().flatten() {
        if let Some(field) = context.get_given(name)? {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

fn bare(capability: &str) -> String {
    let upper = capability.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}
