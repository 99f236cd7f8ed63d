//! `REMORA_PROBES`: the kubelet's probes and hooks of the pod's containers,
//! which go to the sidecar and are made by it (see [`crate::health`]).
//!
//! An object of paths; under each the handler as the pod's manifest had it
//! (httpGet, tcpSocket or grpc, ports as numbers), and its `timeoutSeconds`.
//! Whatever is not understood is refused: a probe that is made in another way
//! than it was meant would say of the app what is not so.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    net::{IpAddr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

/// A probe's time limit where the manifest says none (Kubernetes' default).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// What a hook may take where nothing says so: the kubelet itself gives up
/// sooner, and is heeded then.
const HOOK_TIMEOUT: Duration = Duration::from_secs(3600);

/// Every probe and hook, by the path that it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Probes(pub(crate) BTreeMap<String, Probe>);

/// One call that is made for the kubelet.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) kind: Kind,
    pub(crate) call: Call,
    /// What the whole call may take.
    pub(crate) timeout: Duration,
}

/// Who may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anybody: it changes nothing.
    Probe,
    /// The node alone: it makes the app do something.
    Hook,
}

#[derive(Debug, Clone)]
pub(crate) enum Call {
    Http(HttpGet),
    /// A connection, and nothing on it.
    Tcp(SocketAddr),
    /// gRPC's health protocol, version 1.
    Grpc {
        address: SocketAddr,
        service: String,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct HttpGet {
    pub(crate) tls: bool,
    pub(crate) address: SocketAddr,
    /// As the manifest has it.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Probes {
    /// Reads the variable's JSON for a pod with these addresses.
    ///
    /// # Errors
    /// The first problem, with the path of its probe where it has one.
    pub fn read(json: &str, pod: &[IpAddr]) -> Result<Self, String> {
        let wire: WireProbes = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut probes = BTreeMap::new();
        for (path, probe) in wire.0 {
            let probe = probe.check(&path, pod).map_err(|problem| format!("{path}: {problem}"))?;
            probes.insert(path, probe);
        }
        Ok(Self(probes))
    }

    /// Whether the node has to be known, so that it alone is obeyed.
    pub(super) fn has_hooks(&self) -> bool {
        self.0.values().any(|probe| probe.kind == Kind::Hook)
    }

    /// The first path whose call goes to one of these ports.
    pub(super) fn aimed_at(&self, ports: &[u16]) -> Option<&str> {
        let aimed = |probe: &Probe| ports.contains(&probe.call.address().port());
        self.0.iter().find(|(_, probe)| aimed(probe)).map(|(path, _)| path.as_str())
    }
}

impl Call {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Http(get) => get.address,
            Self::Tcp(address) | Self::Grpc { address, .. } => *address,
        }
    }
}

/// The object of paths. A path that stands there twice is an error: one of the
/// two would be lost.
struct WireProbes(BTreeMap<String, WireProbe>);

impl<'de> Deserialize<'de> for WireProbes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Paths)
    }
}

struct Paths;

impl<'de> Visitor<'de> for Paths {
    type Value = WireProbes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of paths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireProbes, A::Error> {
        let mut probes = BTreeMap::new();
        while let Some(path) = map.next_key::<String>()? {
            let probe = map.next_value()?;
            match probes.entry(path) {
                Entry::Vacant(vacant) => _ = vacant.insert(probe),
                Entry::Occupied(twice) => {
                    return Err(A::Error::custom(format_args!("{} is there twice", twice.key())));
                }
            }
        }
        Ok(WireProbes(probes))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireProbe {
    http_get: Option<WireHttpGet>,
    tcp_socket: Option<WireTcpSocket>,
    grpc: Option<WireGrpc>,
    timeout_seconds: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireHttpGet {
    scheme: Option<WireScheme>,
    host: Option<String>,
    port: NonZeroU16,
    path: Option<String>,
    http_headers: Option<Vec<WireHeader>>,
}

#[derive(Deserialize)]
enum WireScheme {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireHeader {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTcpSocket {
    host: Option<String>,
    port: NonZeroU16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGrpc {
    port: NonZeroU16,
    service: Option<String>,
}

impl WireProbe {
    fn check(self, path: &str, pod: &[IpAddr]) -> Result<Probe, String> {
        let kind = kind(path)
            .ok_or("the path is neither /probe/CONTAINER/{liveness,readiness,startup} nor /lifecycle/CONTAINER/{postStart,preStop}")?;
        let timeout = match (self.timeout_seconds, kind) {
            (Some(seconds), _) => Duration::from_secs(seconds.get().into()),
            (None, Kind::Probe) => DEFAULT_TIMEOUT,
            (None, Kind::Hook) => HOOK_TIMEOUT,
        };
        let call = match (self.http_get, self.tcp_socket, self.grpc) {
            (Some(get), None, None) => Call::Http(get.check(pod)?),
            (None, Some(tcp), None) => Call::Tcp(address(tcp.host.as_deref(), tcp.port, pod)?),
            (None, None, Some(grpc)) => Call::Grpc {
                address: address(None, grpc.port, pod)?,
                service: grpc.service.unwrap_or_default(),
            },
            _ => return Err("exactly one of httpGet, tcpSocket and grpc is wanted".into()),
        };
        Ok(Probe { kind, call, timeout })
    }
}

impl WireHttpGet {
    fn check(self, pod: &[IpAddr]) -> Result<HttpGet, String> {
        let header = |WireHeader { name, value }: WireHeader| {
            let parsed = HeaderName::try_from(&name).ok().zip(HeaderValue::try_from(&value).ok());
            parsed.ok_or_else(|| format!("httpHeaders: `{name}` or its value is not HTTP's"))
        };
        let headers = self.http_headers.unwrap_or_default().into_iter().map(header);
        Ok(HttpGet {
            tls: matches!(self.scheme, Some(WireScheme::Https)),
            address: address(self.host.as_deref(), self.port, pod)?,
            path: self.path.unwrap_or_default(),
            headers: headers.collect::<Result<_, _>>()?,
        })
    }
}

fn kind(path: &str) -> Option<Kind> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let (room, container, what) = (parts.next()?, parts.next()?, parts.next()?);
    if container.is_empty() || parts.next().is_some() {
        return None;
    }
    match (room, what) {
        ("probe", "liveness" | "readiness" | "startup") => Some(Kind::Probe),
        ("lifecycle", "postStart" | "preStop") => Some(Kind::Hook),
        _ => None,
    }
}

/// The address to call: the pod's own, as a kubelet would, unless the manifest
/// has another. One outside the pod would make the sidecar speak for it to
/// whomever a manifest names.
fn address(host: Option<&str>, port: NonZeroU16, pod: &[IpAddr]) -> Result<SocketAddr, String> {
    let ip = match host.filter(|host| !host.is_empty()) {
        None => pod.first().copied(),
        Some(host) => host
            .parse::<IpAddr>()
            .ok()
            .map(|ip| ip.to_canonical())
            .filter(|ip| ip.is_loopback() || pod.contains(ip)),
    };
    let ip = ip.ok_or_else(|| {
        format!(
            "host `{}` is no address of this pod, and no other is called; leave it out",
            host.unwrap_or_default()
        )
    })?;
    Ok(SocketAddr::new(ip, port.get()))
}

#[cfg(test)]
mod tests;
