//! What an adapter says of its partner.

use anyhow::{Context as _, Result, bail, ensure};

/// Where a partner's proxy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nowhere: clients reach the server.
    None,
    /// One in each pod, behind the redirection of `remora-init`.
    Sidecar,
    /// One on the node for all pods.
    Node,
}

/// What leads clients' connections to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirection {
    /// Nothing: there is none.
    None,
    /// The rules of `remora-init`, in each pod.
    InPods,
    /// Like rules of the node, for an address of each pod's.
    OnNode,
}

/// What a workload speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Memcached,
    Redis,
    /// Bytes.
    Bulk,
}

/// The most pods that a proxy is measured before, unless its adapter says so.
pub(crate) const PODS: usize = 100;

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sidecar => "sidecar",
            Self::Node => "node",
        }
    }
}

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::Memcached, Self::Redis, Self::Bulk];

    /// As adapters name it; its server's container has the same name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memcached => "memcached",
            Self::Redis => "redis",
            Self::Bulk => "bulk",
        }
    }

    /// Where its server listens, in every pod.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Memcached => 11211,
            Self::Redis => 6379,
            Self::Bulk => 5001,
        }
    }
}

/// Where a policy proxy tells, inside each pod, that it has its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) port: u16,
    pub(crate) path: String,
    /// What it says as long as it has none.
    pub(crate) without: String,
}

/// Lines of `key: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) title: String,
    pub(crate) mode: Mode,
    pub(crate) redirection: Redirection,
    /// The most pods that it is measured before.
    pub(crate) pods: usize,
    /// Whether it is Remora's L7 proxy, whose parser can be made to panic.
    pub(crate) panics: bool,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) version: String,
    /// Where a sidecar wants redirected connections, if it cannot be told.
    pub(crate) port: Option<u16>,
    /// Of a proxy that serves before its policy has come.
    pub(crate) policy: Option<Policy>,
    /// Why it cannot run here, and what would help.
    pub(crate) missing: Option<String>,
}

impl About {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let (mut title, mut mode, mut version, mut port, mut missing) =
            (None, None, None, None, None);
        let (mut redirection, mut pods, mut panics, mut policy) = (None, PODS, false, None);
        let mut protocols = Vec::new();
        for line in text.lines() {
            let (key, value) =
                line.split_once(": ").with_context(|| format!("no key: {line:?}"))?;
            match key {
                "title" => title = Some(value.to_owned()),
                "mode" => mode = Some(read_mode(value)?),
                "redirection" => redirection = Some(read_redirection(value)?),
                "policy" => policy = Some(read_policy(value)?),
                "panics" => panics = value == "yes",
                "pods" => pods = value.parse().with_context(|| format!("pods: {value:?}"))?,
                "protocols" => protocols = read_protocols(value)?,
                "version" => version = Some(value.to_owned()),
                "port" => port = Some(value.parse().with_context(|| format!("a port: {value:?}"))?),
                "missing" => missing = Some(value.to_owned()),
                _ => bail!("there is no key {key:?}"),
            }
        }
        let protocols_matter = missing.is_none();
        ensure!(
            !protocols_matter || protocols.contains(&Protocol::Memcached),
            "`protocols` must hold memcached, by which a partner shows that it is ready"
        );
        ensure!(version.is_some() || !protocols_matter, "no `version`");
        let mode = mode.context("no `mode`")?;
        let redirection = match (mode, redirection) {
            (Mode::None, _) => Redirection::None,
            (Mode::Sidecar, _) => Redirection::InPods,
            (Mode::Node, asked) => asked.unwrap_or(Redirection::OnNode),
        };
        Ok(Self {
            title: title.context("no `title`")?,
            mode,
            redirection,
            pods,
            panics,
            policy,
            protocols,
            version: version.unwrap_or_default(),
            port,
            missing,
        })
    }
}

fn read_mode(text: &str) -> Result<Mode> {
    match text {
        "sidecar" => Ok(Mode::Sidecar),
        "node" => Ok(Mode::Node),
        _ => bail!("`mode` is sidecar or node, not {text:?}"),
    }
}

fn read_redirection(text: &str) -> Result<Redirection> {
    match text {
        "pods" => Ok(Redirection::InPods),
        "node" => Ok(Redirection::OnNode),
        _ => bail!("`redirection` is pods or node, not {text:?}"),
    }
}

fn read_policy(text: &str) -> Result<Policy> {
    let mut words = text.splitn(3, ' ');
    let mut policy = || {
        let port = words.next()?.parse().ok()?;
        let (path, without) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Policy { port, path, without })
    };
    policy().with_context(|| format!("`policy` is a port, a path and a text, not {text:?}"))
}

fn read_protocols(text: &str) -> Result<Vec<Protocol>> {
    let known = |word| Protocol::ALL.into_iter().find(|protocol| protocol.name() == word);
    text.split_whitespace()
        .map(|word| known(word).with_context(|| format!("there is no protocol {word:?}")))
        .collect()
}
