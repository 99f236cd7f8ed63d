//! The pod: its metadata, volumes and containers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::container::{ContainerSpec, RestartPolicy};
use super::fields::Fields;
use super::security::PodSecurity;
use super::volume::{Volume, volumes};
use crate::{Error, Result};

/// What the harness does for one pod.
#[derive(Debug)]
pub(crate) struct PodSpec {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) service_account: String,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) init: Vec<ContainerSpec>,
    pub(crate) containers: Vec<ContainerSpec>,
    /// How long a container may take to stop after SIGTERM.
    pub(crate) grace: Duration,
}

impl PodSpec {
    /// Reads a Pod whose `metadata` already has a namespace and a uid.
    pub(crate) fn read(manifest: &Value) -> Result<Self> {
        let mut pod = Fields::of(manifest, "")?;
        pod.only("apiVersion", &json!("v1"))?;
        pod.only("kind", &json!("Pod"))?;
        pod.accept(&["status"]);
        let mut metadata = pod.child("metadata")?;
        let labels = string_map(&mut metadata, "labels")?;
        let annotations = string_map(&mut metadata, "annotations")?;
        let mut spec = pod.child("spec")?;
        let restart = pod_restart_policy(&mut spec)?;
        let security = PodSecurity::read(spec.child("securityContext")?)?;
        let volumes = volumes(&mut spec)?;
        let read = Self {
            name: metadata.required_str("name")?.to_owned(),
            namespace: metadata.required_str("namespace")?.to_owned(),
            uid: metadata.required_str("uid")?.to_owned(),
            labels,
            annotations,
            service_account: spec.str("serviceAccountName")?.unwrap_or("default").to_owned(),
            init: containers(
                &mut spec,
                "initContainers",
                RestartPolicy::Never,
                &security,
                &volumes,
            )?,
            containers: containers(&mut spec, "containers", restart, &security, &volumes)?,
            volumes,
            grace: Duration::from_secs(
                spec.u32("terminationGracePeriodSeconds")?.unwrap_or(30).into(),
            ),
        };
        accept_scheduling(&mut spec)?;
        spec.finish()?;
        pod.finish()?;
        if read.containers.is_empty() {
            return Err(Error::field("spec.containers", "must hold at least one container"));
        }
        read.names_are_unique().map(|()| read)
    }

    fn names_are_unique(&self) -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        match self.init.iter().chain(&self.containers).find(|one| !seen.insert(&one.name)) {
            Some(twin) => Err(Error::field(
                &twin.path,
                format!("a second container is named {:?}", twin.name),
            )),
            None => Ok(()),
        }
    }
}

fn pod_restart_policy(spec: &mut Fields<'_>) -> Result<RestartPolicy> {
    match spec.str("restartPolicy")? {
        None | Some("Always") => Ok(RestartPolicy::Always),
        Some("OnFailure") => Ok(RestartPolicy::OnFailure),
        Some("Never") => Ok(RestartPolicy::Never),
        Some(_) => Err(spec.error("restartPolicy", "must be Always, OnFailure or Never")),
    }
}

/// Fields that place a pod, or that have the value the API server fills in.
fn accept_scheduling(spec: &mut Fields<'_>) -> Result<()> {
    spec.accept(&[
        "affinity",
        "nodeName",
        "nodeSelector",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "schedulerName",
        "serviceAccount",
        "tolerations",
        "topologySpreadConstraints",
    ]);
    spec.only("automountServiceAccountToken", &json!(false))?;
    for absent in
        ["hostIPC", "hostNetwork", "hostPID", "shareProcessNamespace", "setHostnameAsFQDN"]
    {
        spec.only(absent, &json!(false))?;
    }
    spec.only("enableServiceLinks", &json!(false))?;
    spec.only("dnsPolicy", &json!("Default"))
}

fn containers(
    spec: &mut Fields<'_>,
    key: &'static str,
    restart: RestartPolicy,
    security: &PodSecurity,
    volumes: &BTreeMap<String, Volume>,
) -> Result<Vec<ContainerSpec>> {
    let items = spec.list(key)?.into_iter();
    items.map(|(item, path)| ContainerSpec::read(item, &path, restart, security, volumes)).collect()
}

fn string_map(fields: &mut Fields<'_>, key: &'static str) -> Result<BTreeMap<String, String>> {
    let Some(value) = fields.value(key) else { return Ok(BTreeMap::new()) };
    let map = value.as_object().ok_or_else(|| fields.error(key, "must be a map"))?;
    let pairs = map.iter().map(|(name, value)| {
        let text = value
            .as_str()
            .ok_or_else(|| fields.error(key, format!("the value of {name:?} must be a string")))?;
        Ok((name.clone(), text.to_owned()))
    });
    pairs.collect()
}
