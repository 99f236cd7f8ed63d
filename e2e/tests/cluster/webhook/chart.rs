//! Remora by its chart, and namespaces with the label.

use std::{
    env,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use crate::{
    install::{NAMESPACE, cluster},
    kubectl::{Kubectl, eventually, expect},
    stage::{Stage, items},
};

pub(crate) const INJECTOR: &str = "deployment/remora-injector";
pub(crate) const WEBHOOKS: &str = "mutatingwebhookconfiguration/remora-injector";

/// The cluster, with Remora on it by its chart. Installed by the first test that asks.
pub(crate) fn chart() -> &'static Kubectl {
    static CHART: OnceLock<()> = OnceLock::new();
    let kubectl = cluster();
    CHART.get_or_init(|| {
        upgrade(&charts().join("remora"), &["--install", "--take-ownership"]);
        // Its images may have been loaded anew under the same names.
        for part in ["deployment/remora-agent", INJECTOR] {
            kubectl.run(&["-n", NAMESPACE, "rollout", "restart", part]).expect("restarted");
            let status = ["-n", NAMESPACE, "rollout", "status", part, "--timeout=90s"];
            kubectl.run(&status).expect("rolled out");
        }
        nobody_leaves();
    });
    kubectl
}

/// Waits until API servers know whom to believe that it is the injector.
pub(crate) fn believed() {
    eventually("API servers believe the injector", || {
        let hooks = chart().get(&[WEBHOOKS]).ok_or("no webhooks")?;
        let all = hooks["webhooks"].as_array().cloned().unwrap_or_default();
        let is_believed = |hook: &Value| hook["clientConfig"]["caBundle"].is_string();
        expect(all.len() == 2 && all.iter().all(is_believed), || hooks.to_string())
    });
}

pub(crate) fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts")
}

/// `helm upgrade` to this chart, until all of it is ready and nothing of before is left: that
/// would still be asked, and count for itself.
pub(crate) fn upgrade(chart: &Path, more: &[&str]) {
    let chart = chart.to_str().expect("UTF-8");
    let fixed = ["upgrade", "remora", chart, "--namespace", NAMESPACE, "--wait", "--timeout=120s"];
    // Helm would take the last release's values where none is given.
    helm(&[&fixed[..], &["--reset-values"], more].concat()).expect("an upgrade");
    nobody_leaves();
}

fn nobody_leaves() {
    eventually("what was there before is gone", || {
        let pods = cluster().get(&["-n", NAMESPACE, "pods"]).ok_or("no answer")?;
        let is_leaving = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_string();
        expect(items(&pods).find(is_leaving).is_none(), || pods.to_string())
    });
}

/// Runs Helm on the cluster.
pub(crate) fn helm(args: &[&str]) -> Result<String, String> {
    let program = env::var_os("REMORA_HELM")
        .ok_or("REMORA_HELM names no helm: run cargo xtask e2e-cluster")?;
    let mut command = Command::new(program);
    command.args(args).env("KUBECONFIG", env::var_os("REMORA_E2E_KUBECONFIG").unwrap_or_default());
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("helm {}: {}", args.join(" "), text(&output.stderr))),
    }
}

/// A namespace of a test's own, with the label.
pub(crate) struct Labelled(Stage);

impl Labelled {
    pub(crate) fn set(name: &str, label: &str) -> Self {
        chart();
        let stage = Stage::set(name);
        let label = format!("remora.dev/inject={label}");
        stage.kubectl.run(&["label", "namespace", &stage.namespace, &label]).expect("labelled");
        Self(stage)
    }

    /// What the API server would make of an object, or why it makes nothing.
    pub(crate) fn tried(&self, object: &Value) -> Result<Value, String> {
        let args = ["-n", &self.namespace, "create", "--dry-run=server", "-o", "json", "-f", "-"];
        let text = self.kubectl.feed(&args, &object.to_string())?;
        Ok(serde_json::from_str(&text).expect("JSON"))
    }

    /// Waits until there is an Event of this reason about an object whose name begins so.
    pub(crate) fn event(&self, reason: &str, about: &str) -> Value {
        eventually(&format!("an Event {reason} about {about}"), || {
            let events = self.get(&["events.events.k8s.io"]).ok_or("no events")?;
            let is_it = |event: &&Value| {
                event["reason"] == reason
                    && event["regarding"]["name"]
                        .as_str()
                        .is_some_and(|name| name.starts_with(about))
            };
            items(&events).find(is_it).cloned().ok_or_else(|| events.to_string())
        })
    }
}

impl Deref for Labelled {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

/// A pod that an enforced namespace takes, and that ends at once when it is told to.
pub(crate) fn plain(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "app", "image": "remora-test/app:test", "imagePullPolicy": "Never",
                "args": ["idle"],
                "securityContext": {"capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

pub(crate) fn has_sidecar(pod: &Value) -> bool {
    let names = |pod: &Value| pod["spec"]["initContainers"][1]["name"] == "remora";
    names(pod) && pod["metadata"]["annotations"]["remora.dev/status"].is_string()
}

/// What all injectors count, their samples of this line summed.
pub(crate) fn counted(sample: &str) -> f64 {
    let kubectl = chart();
    let only = ["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=remora-injector"];
    let pods = kubectl.get(&only).expect("pods");
    let running = items(&pods).filter(|pod| pod["status"]["phase"] == "Running");
    running
        .filter_map(|pod| {
            let name = pod["metadata"]["name"].as_str()?;
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:16020/proxy/metrics");
            let text = kubectl.run(&["get", "--raw", &path]).ok()?;
            let line =
                text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
            line.parse::<f64>().ok()
        })
        .sum()
}

/// Takes the injector away until this is dropped.
pub(crate) struct Away;

impl Away {
    pub(crate) fn take() -> Self {
        let kubectl = chart();
        kubectl.run(&["-n", NAMESPACE, "scale", INJECTOR, "--replicas=0"]).expect("scaled");
        let away = Self;
        eventually("there is no injector", || {
            let only = ["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=remora-injector"];
            let pods = kubectl.get(&only).ok_or("no answer")?;
            expect(items(&pods).count() == 0, || pods.to_string())
        });
        away
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let kubectl = chart();
        let scale = kubectl.run(&["-n", NAMESPACE, "scale", INJECTOR, "--replicas=1"]);
        let status = ["-n", NAMESPACE, "rollout", "status", INJECTOR, "--timeout=60s"];
        if let Err(error) = scale.and_then(|_| kubectl.run(&status)) {
            eprintln!("the injector does not come back: {error}");
        }
    }
}
