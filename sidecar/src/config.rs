//! The configuration, read from the environment here and nowhere else.
//!
//! Every problem is reported at once, with its variable and a remedy.

use std::{
    env, fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::level_filters::LevelFilter;

/// Where redirected inbound connections arrive.
pub const INBOUND_PORT: u16 = 16006;

/// Where readiness and the policy in force can be asked for, on loopback.
pub const ADMIN_PORT: u16 = 16000;

/// How long connections in flight may go on after a stop was asked for.
pub const DRAIN: Duration = Duration::from_secs(5);

/// The longest path that fits a unix socket's address, in bytes.
const MAX_SOCKET_PATH: usize = 107;

/// What a sidecar needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The agent's unix socket.
    pub agent: PathBuf,
    /// The pod this sidecar stands in.
    pub pod: Pod,
    /// Where to listen for redirected connections. `[::]` takes IPv4 too.
    pub inbound: SocketAddr,
    /// Where to listen for questions about the sidecar itself; loopback.
    pub admin: SocketAddr,
    /// How long connections in flight may go on after a stop was asked for.
    pub drain: Duration,
    /// The most verbose level of diagnostics.
    pub log: LevelFilter,
    /// How a connection's original destination is found.
    pub original_destination: OriginalDestination,
}

/// The pod a sidecar stands in, as the downward API tells.
#[derive(Debug, Clone)]
pub struct Pod {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `status.podIPs`: the only addresses that are ever dialled.
    pub ips: Vec<IpAddr>,
}

/// How a connection's original destination is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginalDestination {
    /// Asked of the kernel, which redirected the connection.
    Kernel,
    /// Always the same: for tests of a sidecar without a redirection.
    Fixed(SocketAddr),
}

/// All that is wrong with the environment, one line each.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl Config {
    /// The configuration of this process.
    ///
    /// # Errors
    /// A [`ConfigError`] with every problem that was found.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(variable)
    }

    /// A configuration from any source of variables.
    ///
    /// # Errors
    /// As for [`from_env`](Self::from_env).
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { get, problems: Vec::new() };
        let config = Self {
            agent: reader.agent(),
            pod: Pod {
                namespace: reader.required("REMORA_POD_NAMESPACE", "metadata.namespace"),
                name: reader.required("REMORA_POD_NAME", "metadata.name"),
                uid: reader.required("REMORA_POD_UID", "metadata.uid"),
                ips: reader.pod_ips(),
            },
            inbound: (Ipv6Addr::UNSPECIFIED, reader.port("REMORA_INBOUND_PORT", INBOUND_PORT))
                .into(),
            admin: admin_address(reader.port("REMORA_ADMIN_PORT", ADMIN_PORT)),
            drain: DRAIN,
            log: reader.log(),
            original_destination: OriginalDestination::Kernel,
        };
        reader.finish(config)
    }
}

/// Where this container's sidecar answers `ready`: the one thing that the
/// probe has to know.
///
/// # Errors
/// A [`ConfigError`] when `REMORA_ADMIN_PORT` is no port.
pub fn admin_from_env() -> Result<SocketAddr, ConfigError> {
    let mut reader = Reader { get: variable, problems: Vec::new() };
    let port = reader.port("REMORA_ADMIN_PORT", ADMIN_PORT);
    reader.finish(admin_address(port))
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn admin_address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Reads variables and collects what is wrong with them.
struct Reader<F> {
    get: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }

    fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.get)(name).filter(|value| !value.is_empty())
    }

    /// A value that the injected manifest takes from a field of the pod.
    fn required(&mut self, name: &str, field: &str) -> String {
        self.value(name).unwrap_or_else(|| {
            self.problem(name, format_args!("is not set; take it from the fieldRef {field}"));
            String::new()
        })
    }

    fn agent(&mut self) -> PathBuf {
        let name = "REMORA_AGENT";
        let Some(value) = self.value(name) else {
            self.problem(name, "is not set; say unix:/run/remora/agent.sock");
            return PathBuf::new();
        };
        let Some(path) = value.strip_prefix("unix:").map(Path::new).filter(|p| p.is_absolute())
        else {
            self.problem(
                name,
                format_args!(
                    "`{value}` is no unix:/absolute/path, and only unix sockets are spoken"
                ),
            );
            return PathBuf::new();
        };
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            self.problem(
                name,
                format_args!(
                    "the path is longer than the {MAX_SOCKET_PATH} bytes of a unix socket"
                ),
            );
        }
        path.to_owned()
    }

    fn pod_ips(&mut self) -> Vec<IpAddr> {
        let name = "REMORA_POD_IPS";
        let text = self.required(name, "status.podIPs");
        let mut ips = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()) {
                Ok(ip) if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() => {
                    self.problem(name, format_args!("{ip} cannot be a pod's own address"));
                }
                Ok(ip) => ips.push(ip),
                Err(_) => {
                    self.problem(
                        name,
                        format_args!("`{part}` is no IP address; separate by commas"),
                    );
                }
            }
        }
        ips
    }

    fn port(&mut self, name: &str, default: u16) -> u16 {
        let Some(value) = self.value(name) else { return default };
        value.parse().unwrap_or_else(|_| {
            self.problem(name, format_args!("`{value}` is no port; say a number up to 65535"));
            default
        })
    }

    fn log(&mut self) -> LevelFilter {
        let name = "REMORA_LOG";
        let Some(value) = self.value(name) else { return LevelFilter::INFO };
        value.parse().unwrap_or_else(|_| {
            self.problem(
                name,
                format_args!("`{value}` is no level; say off, error, warn, info, debug or trace"),
            );
            LevelFilter::INFO
        })
    }
}

#[cfg(test)]
mod tests;
