//! Starts a pod's containers in a kubelet's order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::call::Caller;
use super::container::Container;
use super::recipe::Recipe;
use super::volumes;
use crate::Result;
use crate::image::Images;
use crate::manifest::{ContainerSpec, PodSpec, RestartPolicy};
use crate::net::{Addresses, NetNs};
use crate::scratch::Scratch;

/// What the host lends to its pods.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(crate) shim: &'a Path,
    pub(crate) scratch: &'a Scratch,
    pub(crate) images: &'a Images,
    pub(crate) node: &'a Arc<NetNs>,
    /// How long each step of the start may take.
    pub(crate) patience: Duration,
}

/// Starts everything and waits until it is ready. Returns the containers that
/// go on running, native sidecars first. On an error what was started is gone.
pub(crate) fn start(
    pod: &PodSpec,
    addresses: Addresses,
    network: &NetNs,
    host: Host<'_>,
) -> Result<Vec<Container>> {
    let prepare = |one: &ContainerSpec| Recipe::new(pod, one, addresses, network.path(), &host);
    // All recipes first: a manifest that can't be honoured starts nothing.
    let init = pod.init.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let main = pod.containers.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    volumes::prepare(pod, &host, host.patience)?;
    let begin = |recipe: Recipe, spec: &ContainerSpec| {
        Container::start(recipe, spec, Caller { node: Arc::clone(host.node), addresses })
    };
    let mut running = Vec::new();
    for (recipe, spec) in init.into_iter().zip(&pod.init) {
        let container = begin(recipe, spec);
        if spec.restart == RestartPolicy::Always {
            container.wait_started(host.patience)?;
            running.push(container);
        } else {
            container.wait_completed(host.patience)?;
        }
    }
    let sidecars = running.len();
    running.extend(main.into_iter().zip(&pod.containers).map(|(recipe, spec)| begin(recipe, spec)));
    for container in &running[sidecars..] {
        container.wait_started(host.patience)?;
    }
    for container in &running {
        container.wait_ready(host.patience)?;
    }
    Ok(running)
}
