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

/// What a workload speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Memcached,
    Redis,
    /// Bytes.
    Bulk,
}

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

/// Lines of `key: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) title: String,
    pub(crate) mode: Mode,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) version: String,
    /// Where a sidecar wants redirected connections, if it cannot be told.
    pub(crate) port: Option<u16>,
    /// Why it cannot run here, and what would help.
    pub(crate) missing: Option<String>,
}

impl About {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let (mut title, mut mode, mut version, mut port, mut missing) =
            (None, None, None, None, None);
        let mut protocols = Vec::new();
        for line in text.lines() {
            let (key, value) =
                line.split_once(": ").with_context(|| format!("no key: {line:?}"))?;
            match key {
                "title" => title = Some(value.to_owned()),
                "mode" => mode = Some(read_mode(value)?),
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
        Ok(Self {
            title: title.context("no `title`")?,
            mode: mode.context("no `mode`")?,
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

fn read_protocols(text: &str) -> Result<Vec<Protocol>> {
    let known = |word| Protocol::ALL.into_iter().find(|protocol| protocol.name() == word);
    text.split_whitespace()
        .map(|word| known(word).with_context(|| format!("there is no protocol {word:?}")))
        .collect()
}
