//! Can this machine, and this user, run pods as network namespaces?

use std::path::Path;
use std::process::{Command, Stdio};

use crate::net::NetNs;
use crate::{Error, Result};

/// Says what the harness needs and does not find, and how to get it.
///
/// # Errors
/// [`Error::Preflight`] with one remedy for the first thing that is missing.
pub fn preflight() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return missing(
            "root is needed to make network namespaces: run this as root, for example with `sudo`",
        );
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if ip.is_err() {
        return missing("`ip` is not installed: `apt-get install iproute2`");
    }
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return missing("this kernel runs without IPv6: boot it without `ipv6.disable=1`");
    }
    match NetNs::new(|_, _| Ok(())) {
        Ok(_) => Ok(()),
        Err(refused) => missing(&format!(
            "{refused}: network namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN; \
             in a container, run it with `--privileged`"
        )),
    }
}

fn missing(remedy: &str) -> Result<()> {
    Err(Error::Preflight(remedy.to_owned()))
}
