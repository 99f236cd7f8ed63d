//! Remora on the cluster: `deploy/` applied, and its agent ready.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;

use crate::kubectl::{Kubectl, within};

pub(crate) const NAMESPACE: &str = "remora";
pub(crate) const AGENT: &str = "deployment/remora-agent";

/// What an installation that cannot succeed may take to say so.
pub(crate) const VERDICT: Duration = Duration::from_secs(50);

/// Reasons for which waiting longer changes nothing.
const HOPELESS: [&str; 5] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
];

/// The cluster, with Remora on it. Installed by the first test that asks.
///
/// # Panics
/// There is no cluster, or Remora does not become ready on it.
pub(crate) fn cluster() -> &'static Kubectl {
    static CLUSTER: OnceLock<Result<Kubectl, String>> = OnceLock::new();
    match CLUSTER.get_or_init(|| {
        let kubeconfig = env::var_os("REMORA_E2E_KUBECONFIG")
            .ok_or("REMORA_E2E_KUBECONFIG names no cluster: run cargo xtask e2e-cluster")?;
        let kubectl = Kubectl::new(Path::new(&kubeconfig));
        kubectl.answers()?;
        install(&kubectl)?;
        Ok(kubectl)
    }) {
        Ok(kubectl) => kubectl,
        Err(why) => panic!("Remora is not on a cluster: {why}"),
    }
}

fn install(kubectl: &Kubectl) -> Result<(), String> {
    let folder = deploy();
    kubectl.run(&["apply", "-f", &path(&folder.join("crds"))])?;
    let wait = ["wait", "--for=condition=Established", "--timeout=30s", "-f"];
    kubectl.run(&[&wait[..], &[&path(&folder.join("crds"))]].concat())?;
    let was_there = kubectl.get(&["-n", NAMESPACE, AGENT]).is_some();
    for file in ["namespace.yaml", "rbac.yaml", "agent.yaml"] {
        kubectl.run(&["apply", "-f", &path(&folder.join(file))])?;
    }
    if was_there {
        // Its image may have been loaded anew under the same name.
        kubectl.run(&["-n", NAMESPACE, "rollout", "restart", AGENT])?;
    }
    rolled_out(kubectl, NAMESPACE, AGENT)
}

/// Waits until a Deployment is rolled out.
///
/// # Errors
/// It is not, within [`VERDICT`] or beyond hope: with the cause.
pub(crate) fn rolled_out(kubectl: &Kubectl, namespace: &str, what: &str) -> Result<(), String> {
    let mut hopeless = None;
    let look = || {
        let status = ["-n", namespace, "rollout", "status", what, "--watch=false"];
        let said = kubectl.run(&status)?;
        if said.contains("successfully rolled out") {
            return Ok(());
        }
        hopeless = hopeless_pod(kubectl, namespace).or_else(|| forbidden(kubectl, namespace, what));
        if hopeless.is_some() { Ok(()) } else { Err(said) }
    };
    let outcome = within(VERDICT, look);
    match (outcome, hopeless) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(cause)) => Err(format!("{what} in {namespace}: {cause}")),
        (Err(seen), _) => {
            let logs = ["-n", namespace, "logs", what, "--tail=20"];
            let logs = kubectl.run(&logs).unwrap_or_else(|error| error);
            Err(format!("{what} in {namespace}: {seen}\nits log:\n{logs}"))
        }
    }
}

/// Why a pod of the namespace will not start, if one will not.
fn hopeless_pod(kubectl: &Kubectl, namespace: &str) -> Option<String> {
    let pods = kubectl.get(&["-n", namespace, "pods"])?;
    pods["items"].as_array()?.iter().find_map(|pod| {
        let name = pod["metadata"]["name"].as_str()?;
        containers(pod).find_map(|container| {
            let waiting = &container["state"]["waiting"];
            let reason = waiting["reason"].as_str().filter(|reason| HOPELESS.contains(reason))?;
            let message = waiting["message"].as_str().unwrap_or_default();
            Some(format!("pod {name}: {reason}: {message}; load the image into the cluster"))
        })
    })
}

/// What a right is missing for, if the log says that one is.
fn forbidden(kubectl: &Kubectl, namespace: &str, what: &str) -> Option<String> {
    let log = kubectl.run(&["-n", namespace, "logs", what, "--tail=20"]).ok()?;
    let lines: Vec<_> = log.lines().filter(|line| line.contains(" is forbidden: ")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The statuses of a pod's containers.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten()
}

/// The folder of manifests that users apply.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A manifest of that folder.
pub(crate) fn manifest(file: &str) -> String {
    fs::read_to_string(deploy().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
