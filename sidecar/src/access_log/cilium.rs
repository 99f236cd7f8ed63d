//! Events as Cilium's proxies tell them: a protobuf `LogEntry` in each packet
//! of a unix socket (SOCK_SEQPACKET), which is what its agent listens on.
//!
//! Fields and numbers: `cilium/api/accesslog.proto` of github.com/cilium/proxy.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use prost::Message;
use remora_policy::TrafficDirection;
use socket2::{Domain, SockAddr, Type};

use super::{
    event::{Event, Outcome, each_value},
    hidden::Hidden,
};

/// Pauses after a failed attempt to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a listener that takes nothing may hold up the log.
const TAKE: Duration = Duration::from_millis(100);

/// The bytes of a length in the queue.
const LENGTH: usize = size_of::<u32>();

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogEntry {
    /// Nanoseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub(super) timestamp: u64,
    #[prost(bool, tag = "15")]
    pub(super) is_ingress: bool,
    #[prost(enumeration = "EntryType", tag = "3")]
    pub(super) entry_type: i32,
    #[prost(string, tag = "5")]
    pub(super) cilium_rule_ref: String,
    #[prost(uint32, tag = "6")]
    pub(super) source_security_id: u32,
    #[prost(uint32, tag = "16")]
    pub(super) destination_security_id: u32,
    #[prost(string, tag = "7")]
    pub(super) source_address: String,
    #[prost(string, tag = "8")]
    pub(super) destination_address: String,
    #[prost(message, optional, tag = "102")]
    pub(super) generic_l7: Option<L7LogEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct L7LogEntry {
    #[prost(string, tag = "1")]
    pub(super) proto: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) fields: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum EntryType {
    Request = 0,
    Response = 1,
    Denied = 2,
}

/// Appends an event's entry, after its length.
pub(super) fn encode(event: &Event<'_>, hidden: &Hidden, now: SystemTime, out: &mut Vec<u8>) {
    let entry = entry(event, hidden, now);
    let length = u32::try_from(entry.encoded_len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    // A Vec grows as needed.
    let _ = entry.encode(out);
}

fn entry(event: &Event<'_>, hidden: &Hidden, now: SystemTime) -> LogEntry {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let is_ingress = event.flow.direction == TrafficDirection::Ingress;
    let identity = event.identity.unwrap_or_default();
    let entry_type = match event.outcome {
        Outcome::Forwarded | Outcome::Audit => EntryType::Request,
        Outcome::Dropped | Outcome::Error => EntryType::Denied,
    };
    let server = event.flow.backend.or(event.flow.destination);
    LogEntry {
        timestamp: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        is_ingress,
        entry_type: entry_type.into(),
        cilium_rule_ref: event.rule.unwrap_or_default().to_owned(),
        source_security_id: if is_ingress { identity } else { 0 },
        destination_security_id: if is_ingress { 0 } else { identity },
        source_address: event.flow.source.to_string(),
        destination_address: server.map(|server| server.to_string()).unwrap_or_default(),
        generic_l7: event
            .l7proto
            .map(|proto| L7LogEntry { proto: proto.to_owned(), fields: fields(event, hidden) }),
    }
}

/// Values as the other formats show them, several with commas between.
fn fields(event: &Event<'_>, hidden: &Hidden) -> BTreeMap<String, String> {
    let fields = event.request.iter().flat_map(|request| request.fields);
    let shown = fields.map(|field| {
        let mut value = String::new();
        each_value(&mut value, field, hidden, |out, first| {
            if !first {
                out.push(',');
            }
        });
        // One value needs no quotes here: nothing follows it.
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = bare.filter(|bare| !bare.contains('"')).unwrap_or(&value).to_owned();
        (field.name.to_owned(), value)
    });
    shown.collect()
}

/// Where entries go.
pub(super) struct Socket {
    path: PathBuf,
    connected: Option<socket2::Socket>,
    not_before: Instant,
}

impl Socket {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, connected: None, not_before: Instant::now() }
    }

    /// Sends each of `entries`. Those that nobody takes are gone: the log
    /// itself has them.
    pub(super) fn send(&mut self, mut entries: &[u8]) {
        while let Some((length, rest)) = entries.split_first_chunk::<LENGTH>() {
            let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
            let Some((entry, rest)) = rest.split_at_checked(length) else { return };
            entries = rest;
            let Some(socket) = self.socket() else { return };
            if let Err(error) = socket.send(entry) {
                tracing::warn!(%error, path = %self.path.display(), "the access log's socket takes no entries");
                self.connected = None;
                self.not_before = Instant::now() + PAUSE;
                return;
            }
        }
    }

    fn socket(&mut self) -> Option<&socket2::Socket> {
        if self.connected.is_none() && Instant::now() >= self.not_before {
            self.not_before = Instant::now() + PAUSE;
            self.connected = self.connect().ok();
        }
        self.connected.as_ref()
    }

    fn connect(&self) -> io::Result<socket2::Socket> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(&self.path)?)?;
        socket.set_write_timeout(Some(TAKE))?;
        Ok(socket)
    }
}
