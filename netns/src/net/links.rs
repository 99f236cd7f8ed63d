//! Bridge, veth pairs and addresses, through `ip`.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use rustix::thread::Pid;

use super::NetNs;
use crate::{Error, Result};

/// The addresses of one host on the node's bridge, host 1 being the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Addresses {
    /// The node itself, as the pods and the kubelet's probes see it.
    pub(crate) const NODE: Self = Self::of_host(1);

    /// The `host`th addresses of 10.77.0.0/16 and fd77::/64.
    pub(crate) const fn of_host(host: u16) -> Self {
        let [high, low] = host.to_be_bytes();
        Self {
            v4: Ipv4Addr::new(10, 77, high, low),
            v6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host),
        }
    }

    /// IPv4 first, as `status.podIP` is.
    pub(crate) fn all(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// Makes the namespace a node: `lo` and a bridge with the node's addresses.
pub(crate) fn set_up_node(node: &NetNs) -> Result<()> {
    let Addresses { v4, v6 } = Addresses::NODE;
    node.enter(|| {
        no_duplicate_detection()?;
        ip(&format!(
            "link set lo up\n\
             link add pods type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             addr add {v4}/16 dev pods\n\
             addr add {v6}/64 dev pods nodad\n\
             link set pods up\n"
        ))
    })?
}

/// Joins a pod's namespace, in which thread `inside` is, to the node's bridge.
pub(crate) fn attach_pod(node: &NetNs, pod: &NetNs, inside: Pid, host: u16) -> Result<()> {
    let Addresses { v4, v6 } = Addresses::of_host(host);
    let inside = inside.as_raw_nonzero();
    pod.enter(no_duplicate_detection)??;
    node.enter(|| {
        ip(&format!(
            "link add pod{host} type veth peer name eth0 netns {inside}\n\
             link set pod{host} master pods\n\
             link set pod{host} up\n"
        ))
    })??;
    pod.enter(|| {
        ip(&format!(
            "link set lo up\n\
             link set eth0 up\n\
             addr add {v4}/16 dev eth0\n\
             addr add {v6}/64 dev eth0 nodad\n\
             route add default via {}\n\
             route add default via {}\n",
            Addresses::NODE.v4,
            Addresses::NODE.v6
        ))
    })?
}

/// Link-local addresses are usable at once, too: `/proc/sys/net` shows the
/// namespace of the thread that looks.
fn no_duplicate_detection() -> Result<()> {
    let setting = "/proc/sys/net/ipv6/conf/default/accept_dad";
    fs::write(setting, "0").map_err(Error::io(format!("write {setting}")))
}

/// Runs a batch of `ip` commands in the calling thread's namespace.
fn ip(batch: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io("run `ip`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A failure shows in the exit status below, with what `ip` said.
        let _ = stdin.write_all(batch.as_bytes());
    }
    let output = child.wait_with_output().map_err(Error::io("wait for `ip`"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: format!("ip -batch - <<< {batch:?}"),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
