//! `remora inject` and `remora uninject`: a manifest with Remora in its pods, and without.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use remora_injector::{
    AGENT_URL, AgentAddress, InjectConfig, InjectError, Limits, ProxyMode, Refused, Setting,
    inject, rewrite, uninject,
};
use remora_manifest::MAX_BYTES;
use serde_json::Value;

/// Put Remora into the pods of a manifest, and print it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs and CronJobs
are injected, also those in a List; everything else is printed as it is, and named on standard error.
Injecting again changes nothing.

Annotations of the pod (in a workload: of its template) are for its sidecar:
  remora.dev/cpu-request, remora.dev/cpu-limit          such as 250m
  remora.dev/memory-request, remora.dev/memory-limit    such as 128Mi
  remora.dev/log-level                                  off, error, warn, info, debug or trace
  remora.dev/max-connections and others                 what peers may cost: docs/limits.md

Example:
  remora inject -f deployment.yaml | kubectl apply -f -")]
pub(crate) struct InjectArgs {
    #[command(flatten)]
    source: Source,
    /// Where the proxy stands: sidecar, or node for that of the pod's node, which knows the agent
    #[arg(long, value_name = "MODE", default_value = ProxyMode::Sidecar.word())]
    mode: ProxyMode,
    /// Where the sidecars reach the agent, over TLS
    #[arg(long, value_name = "URL", value_parser = agent_url, default_value = AGENT_URL)]
    agent: String,
    /// Reach the agent through sockets instead: the node's directory in which it keeps each pod's
    #[arg(long, value_name = "DIR", value_parser = absolute, conflicts_with = "agent")]
    agent_sockets: Option<PathBuf>,
    /// The image of the init container, which redirects the pod's traffic
    #[arg(long, value_name = "IMAGE", default_value_t = InjectConfig::default().init_image)]
    init_image: String,
    /// The image of the sidecar, which judges it
    #[arg(long, value_name = "IMAGE", default_value_t = InjectConfig::default().sidecar_image)]
    sidecar_image: String,
    /// A limit of what peers may cost a sidecar, by its annotation: pods may only tighten it
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Setting>,
}

/// Take Remora out of the pods of a manifest, and print it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Gives back what `remora inject` was given; pods without Remora are printed as they are.

Example:
  kubectl get deployment cart -o yaml | remora uninject -f - | kubectl apply -f -")]
pub(crate) struct UninjectArgs {
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
struct Source {
    /// The manifest, YAML or JSON with one or more documents; - is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
}

/// Where a command reads and writes.
pub(crate) struct Streams<'a> {
    /// Read for the file `-`.
    pub(crate) input: &'a mut dyn Read,
    /// Takes the manifest.
    pub(crate) output: &'a mut dyn Write,
    /// Takes what people should know.
    pub(crate) notes: &'a mut dyn Write,
}

/// Why no manifest was printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// The manifest cannot be read.
    #[error("{file}: {error}; name a file that can be read, or - for standard input")]
    Unreadable { file: String, error: io::Error },
    /// The manifest is wrong, or holds what cannot be changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What only sidecars need is given for pods that have none.
    #[error("--agent-sockets is where sidecars reach the agent; leave it out with --mode node")]
    NoSidecars,
    /// The result cannot be written.
    #[error("the manifest cannot be written: {0}; see where the output goes")]
    Unwritable(#[source] io::Error),
}

impl ManifestError {
    /// The exit status that stands for it: 2 for bad input.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Unreadable { .. } | Self::Refused(_) | Self::NoSidecars => 2,
            Self::Unwritable(_) => 1,
        }
    }
}

impl InjectArgs {
    /// Runs `remora inject`.
    ///
    /// # Errors
    /// Nothing was printed; see [`ManifestError`].
    pub(crate) fn run(&self, streams: &mut Streams<'_>) -> Result<(), ManifestError> {
        let agent = match &self.agent_sockets {
            Some(_) if self.mode == ProxyMode::Node => return Err(ManifestError::NoSidecars),
            Some(directory) => AgentAddress::Sockets(directory.clone()),
            None => AgentAddress::Url(self.agent.clone()),
        };
        let config = InjectConfig {
            mode: self.mode,
            agent,
            init_image: self.init_image.clone(),
            sidecar_image: self.sidecar_image.clone(),
            limits: self.limits.iter().copied().fold(Limits::default(), Limits::with),
        };
        self.source.print(streams, |pod| inject(pod, &config))
    }
}

impl UninjectArgs {
    /// Runs `remora uninject`.
    ///
    /// # Errors
    /// Nothing was printed; see [`ManifestError`].
    pub(crate) fn run(&self, streams: &mut Streams<'_>) -> Result<(), ManifestError> {
        self.source.print(streams, uninject)
    }
}

impl Source {
    fn print(
        &self,
        streams: &mut Streams<'_>,
        change: impl Fn(&Value) -> Result<Value, InjectError>,
    ) -> Result<(), ManifestError> {
        let is_stdin = self.file == Path::new("-");
        let name = if is_stdin { Path::new("<stdin>") } else { &self.file };
        let unreadable =
            |error| ManifestError::Unreadable { file: name.display().to_string(), error };
        let bytes = if is_stdin {
            read_bounded(&mut streams.input)
        } else {
            File::open(&self.file).and_then(read_bounded)
        }
        .map_err(unreadable)?;

        let rewritten = rewrite(&bytes, name, change)?;
        for note in rewritten.notes {
            writeln!(streams.notes, "{note}").map_err(ManifestError::Unwritable)?;
        }
        streams
            .output
            .write_all(rewritten.yaml.as_bytes())
            .and_then(|()| streams.output.flush())
            .map_err(ManifestError::Unwritable)
    }
}

/// Reads one byte more than a manifest may have, so that a longer one is noticed, not cut.
fn read_bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    input.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A path that means the same on the node as here.
fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("it has to begin with /") }
}

/// `https://HOST:PORT`, and nothing that would be lost on the way to the sidecar.
fn agent_url(text: &str) -> Result<String, &'static str> {
    let problem = "it has to be https://HOST:PORT";
    let (host, port) =
        text.strip_prefix("https://").and_then(|rest| rest.rsplit_once(':')).ok_or(problem)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_host = match host.strip_prefix('[') {
        Some(ip) => ip.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    let is_port =
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    if is_host && is_port { Ok(text.to_owned()) } else { Err(problem) }
}
