//! Where the agent is, and how each side proves itself to the other.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tokio_rustls::rustls::pki_types::ServerName;

use super::reader::Reader;

/// The longest path that fits a unix socket's address, in bytes.
pub(super) const MAX_SOCKET_PATH: usize = 107;

const NAME: &str = "REMORA_AGENT";

/// How the agent is reached. As text it is what `REMORA_AGENT` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// By a unix socket: whoever may open it is who the agent takes it for.
    Unix(PathBuf),
    /// By TLS over TCP.
    Tls(Tls),
}

/// How the agent is reached by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The name or the address that it is dialled by, which its certificate
    /// must hold.
    pub server: ServerName<'static>,
    /// Its port.
    pub port: u16,
    /// A file with the CAs that may vouch for it. Read for every connection,
    /// as it changes when they are rotated.
    pub ca: PathBuf,
    /// A file with the token by which this pod is known to it. Read for every
    /// connection, as it lives for an hour.
    pub token: PathBuf,
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls(Tls { server, port, .. }) => match server {
                ServerName::IpAddress(ip) => match std::net::IpAddr::from(*ip) {
                    std::net::IpAddr::V6(ip) => write!(f, "https://[{ip}]:{port}"),
                    std::net::IpAddr::V4(ip) => write!(f, "https://{ip}:{port}"),
                },
                name => write!(f, "https://{}:{port}", name.to_str()),
            },
        }
    }
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    pub(super) fn agent(&mut self) -> Agent {
        let nowhere = Agent::Unix(PathBuf::new());
        let Some(value) = self.value(NAME) else {
            self.problem(
                NAME,
                "is not set; say https://remora-agent.remora.svc:16010 or unix:/run/remora/agent.sock",
            );
            return nowhere;
        };
        if let Some(path) = value.strip_prefix("unix:") {
            return self.unix(Path::new(path)).unwrap_or(nowhere);
        }
        let Some((server, port)) = value.strip_prefix("https://").and_then(server_and_port) else {
            self.problem(
                NAME,
                format_args!("`{value}` is neither https://HOST:PORT nor unix:/absolute/path"),
            );
            return nowhere;
        };
        Agent::Tls(Tls {
            server,
            port,
            ca: self.file("REMORA_CA", "/run/remora/ca/ca.crt"),
            token: self.file("REMORA_TOKEN", "/run/remora/token/token"),
        })
    }

    fn unix(&mut self, path: &Path) -> Option<Agent> {
        if !path.is_absolute() {
            self.problem(NAME, format_args!("unix:{} is no absolute path", path.display()));
            return None;
        }
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            self.problem(
                NAME,
                format_args!(
                    "the path is longer than the {MAX_SOCKET_PATH} bytes of a unix socket"
                ),
            );
        }
        Some(Agent::Unix(path.to_owned()))
    }

    fn file(&mut self, name: &str, usually: &str) -> PathBuf {
        let path = PathBuf::from(self.value(name).unwrap_or_default());
        if !path.is_absolute() {
            self.problem(
                name,
                format_args!("an agent by https:// needs an absolute path, such as {usually}"),
            );
        }
        path
    }
}

/// `HOST:PORT`, where an IPv6 address stands in brackets.
fn server_and_port(text: &str) -> Option<(ServerName<'static>, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return None;
    }
    let server = ServerName::try_from(bare.unwrap_or(host).to_owned()).ok()?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((server, port))
}
