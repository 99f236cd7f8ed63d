//! The pods: their manifests, and what they need before a load comes.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use remora_injector::{AgentAddress, InjectConfig, SIDECAR_CONTAINER, inject};
use remora_netns::{Node, Pod, report_to};
use serde_json::{Value, json};

use super::{LIMIT, Spot};
use crate::{
    load::{Script, play},
    partner::{Mode, Partner, Protocol, SMALL},
    workload::LARGE,
};

/// How many pods are started at the same time.
const AT_ONCE: usize = 8;

/// Neither runs as root, nor as the proxy.
const SERVER_UID: u32 = 65534;

/// The pod of all clients.
pub(super) fn client() -> Value {
    let idle = json!({"name": "idle", "image": "idle"});
    manifest("client", &json!({"role": "client"}), &[idle])
}

/// Server pods for a partner.
pub(super) struct Servers<'a> {
    pub(super) node: &'a Node,
    pub(super) partner: &'a Partner,
    pub(super) protocols: &'a [Protocol],
}

impl Servers<'_> {
    /// Starts pods of these names, ready to be asked.
    pub(super) fn run_all(
        &self,
        names: &[String],
        manifests: &Path,
        sockets: &Path,
    ) -> Result<Vec<Spot>> {
        let mut spots = Vec::with_capacity(names.len());
        for batch in names.chunks(AT_ONCE) {
            let run = |name: &String| self.run_one(name, manifests, sockets);
            let started: Vec<_> = thread::scope(|scope| {
                let starting: Vec<_> =
                    batch.iter().map(|name| scope.spawn(move || run(name))).collect();
                starting.into_iter().map(thread::ScopedJoinHandle::join).collect()
            });
            for spot in started {
                spots.push(spot.map_err(|_| anyhow!("starting a pod panicked"))??);
            }
        }
        Ok(spots)
    }

    fn run_one(&self, name: &str, manifests: &Path, sockets: &Path) -> Result<Spot> {
        let containers: Vec<_> = self.protocols.iter().map(|protocol| server(*protocol)).collect();
        let plain = manifest(name, &json!({"app": name}), &containers);
        let mode = self.partner.about.mode;
        let pod = match mode {
            Mode::Sidecar => {
                let agent = AgentAddress::Sockets(sockets.to_owned());
                let injected = inject(&plain, &InjectConfig { agent, ..Default::default() })?;
                let pod = without_sidecar(&injected, self.partner.port());
                run(self.node, &pod, Some(&injected), manifests)?
            }
            Mode::None | Mode::Node => run(self.node, &plain, None, manifests)?,
        };
        reuse_ports(&pod)?;
        for protocol in self.protocols {
            fill(&pod, *protocol).with_context(|| format!("{name}: preparing {protocol:?}"))?;
        }
        Ok(Spot { name: name.to_owned(), pod, mode })
    }
}

/// Runs a pod; the agent is told of `reported` instead of it, if given.
pub(super) fn run(
    node: &Node,
    manifest: &Value,
    reported: Option<&Value>,
    manifests: &Path,
) -> Result<Pod> {
    let report = |completed: &Value| -> io::Result<()> {
        let mut completed = completed.clone();
        if let Some(reported) = reported {
            completed["spec"] = reported["spec"].clone();
        }
        report_to(manifests)(&completed)
    };
    Ok(node.run_pod(manifest, report)?)
}

/// An injected pod whose sidecar is left to the partner: it keeps the
/// redirection, to where the partner listens, and whoever runs as the proxy's
/// user may take the sidecar's place.
fn without_sidecar(injected: &Value, port: u16) -> Value {
    let mut pod = injected.clone();
    if let Some(containers) = pod["spec"]["initContainers"].as_array_mut() {
        containers.retain(|container| container["name"] != SIDECAR_CONTAINER);
        for container in containers {
            let arguments = container["args"].as_array_mut().into_iter().flatten();
            let mut values = arguments.skip_while(|argument| **argument != "--inbound-port");
            if let Some(value) = values.nth(1) {
                *value = port.to_string().into();
            }
        }
    }
    pod
}

fn manifest(name: &str, labels: &Value, containers: &[Value]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": containers},
    })
}

fn server(protocol: Protocol) -> Value {
    let port = protocol.port().to_string();
    let arguments: &[&str] = match protocol {
        Protocol::Memcached => {
            &["-p", &port, "-U", "0", "-t", "1", "-c", "12000", "-m", "128", "-I", "2m"]
        }
        Protocol::Redis => {
            &["--port", &port, "--save", "", "--appendonly", "no", "--protected-mode", "no"]
        }
        Protocol::Bulk => &["serve", &port],
    };
    json!({
        "name": protocol.name(), "image": protocol.name(), "args": arguments,
        "securityContext": {"runAsUser": SERVER_UID, "runAsGroup": SERVER_UID},
    })
}

/// Waits for a server, and stores what loads ask of it. Loopback is neither
/// redirected nor judged.
fn fill(pod: &Pod, protocol: Protocol) -> Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], protocol.port()));
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = pod.connect(address) {
        ensure!(Instant::now() < deadline, "its server does not listen: {error}");
        thread::sleep(Duration::from_millis(5));
    }
    let scripts = match protocol {
        Protocol::Memcached => vec![Script::memcached_set(SMALL), Script::memcached_set(LARGE)],
        Protocol::Redis => vec![Script::redis_set(SMALL)],
        Protocol::Bulk => vec![],
    };
    pod.enter_network(|| scripts.iter().try_for_each(|script| play(address, script)))?
}

/// Below `/proc/sys/net/ipv4`. No port at which anybody listens is lent to a
/// connection: it could not be listened at again while that one times out.
pub(super) const PORT_SETTINGS: [(&str, &str); 2] =
    [("tcp_tw_reuse", "1"), ("ip_local_port_range", "26000 65535")];

/// Lets ports be used again soon after a connection has ended, and more of
/// them: loads of new connections would otherwise run out of them, at a client
/// or at a proxy.
pub(super) fn reuse_ports(pod: &Pod) -> Result<()> {
    pod.enter_network(|| {
        for (name, value) in PORT_SETTINGS {
            let file = format!("/proc/sys/net/ipv4/{name}");
            fs::write(&file, value).with_context(|| format!("writing {file}"))?;
        }
        Ok(())
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_takes_the_sidecars_place_behind_the_redirection() {
        let plain = manifest("pod", &json!({}), &[server(Protocol::Memcached)]);
        let agent = AgentAddress::Sockets("/sockets".into());
        let injected = inject(&plain, &InjectConfig { agent, ..Default::default() });
        let injected = injected.expect("injectable");
        let pod = without_sidecar(&injected, 15006);
        let init = pod["spec"]["initContainers"].as_array().expect("init containers");
        assert_eq!(init.len(), 1, "{init:?}");
        let words = init[0]["args"].as_array().expect("arguments");
        let value = |name: &str| words.iter().skip_while(|word| **word != name).nth(1);
        assert_eq!(value("--inbound-port"), Some(&json!("15006")));
        assert_eq!(value("--proxy-uid"), Some(&json!("16006")));
    }
}
