//! The last good policy on disk, for a sidecar that is started while its agent
//! is away.
//!
//! A file holds what one agent connection brought, policies, hosts and services,
//! as they came: read back, they go through the same checks as on arrival.
//! Before a change is acknowledged the file of the state before is gone, so
//! that no restart brings back what policy has taken back.

mod file;
mod keeper;

use std::{io, path::Path, time::Duration};

use prost::Message;
use remora_api::{MAX_MESSAGE_BYTES, discovery::DiscoveryResponse};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

pub(crate) use self::keeper::Keeper;

/// What a file begins with. Another layout begins with another number.
const MAGIC: &[u8] = b"remora snapshot 1\n";

/// The most bytes of a file: three messages as large as an agent may send, and
/// what stands around them.
const MAX_BYTES: usize = 3 * MAX_MESSAGE_BYTES + (4 << 10);

/// How far a file's time may lie ahead of the clock.
const CLOCK_STEP: Duration = Duration::from_secs(60);

/// What one agent connection brought.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Saved {
    /// The pod that it was sent to. A name can come back, a uid cannot.
    #[prost(string, tag = "1")]
    pub(crate) pod_uid: String,
    #[prost(message, required, tag = "2")]
    pub(crate) policies: DiscoveryResponse,
    #[prost(message, required, tag = "3")]
    pub(crate) hosts: DiscoveryResponse,
    /// None of an agent that knows of none.
    #[prost(message, optional, tag = "4")]
    pub(crate) services: Option<DiscoveryResponse>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it was not written by this version of Remora")]
    Foreign,
    #[error("its checksum is wrong")]
    Corrupt,
    #[error("it is of the pod with uid {0:?}")]
    OtherPod(String),
    #[error("the agent was heard {} s ago for the last time, more than {} s", .age.as_secs(), .most.as_secs())]
    Old { age: Duration, most: Duration },
    #[error("its time lies {} s ahead of the clock", .0.as_secs())]
    Future(Duration),
    #[error("{0}")]
    Policy(String),
}

impl Saved {
    fn to_bytes(&self) -> Vec<u8> {
        let body = self.encode_to_vec();
        let sum = digest(&SHA256, &body);
        [MAGIC, sum.as_ref(), &body].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Refusal::Foreign)?;
        let (sum, body) = rest.split_at_checked(SHA256_OUTPUT_LEN).ok_or(Refusal::Corrupt)?;
        if digest(&SHA256, body).as_ref() != sum {
            return Err(Refusal::Corrupt);
        }
        let saved = Self::decode(body).map_err(|_| Refusal::Foreign)?;
        // A field that this version does not know would be dropped in silence.
        if saved.encode_to_vec() == body { Ok(saved) } else { Err(Refusal::Foreign) }
    }
}

/// What was saved for the pod with this uid, by a sidecar that heard its agent
/// at most `most` ago; `None` where nothing was.
///
/// # Errors
/// Why there is something, and it must not be used.
pub(crate) fn load(path: &Path, uid: &str, most: Duration) -> Result<Option<Saved>, Refusal> {
    let Some((bytes, time)) = file::read(path)? else { return Ok(None) };
    match time.elapsed() {
        Ok(age) if age > most => return Err(Refusal::Old { age, most }),
        Err(ahead) if ahead.duration() > CLOCK_STEP => {
            return Err(Refusal::Future(ahead.duration()));
        }
        _ => {}
    }
    let saved = Saved::from_bytes(&bytes)?;
    if saved.pod_uid != uid {
        return Err(Refusal::OtherPod(saved.pod_uid));
    }
    Ok(Some(saved))
}

#[cfg(test)]
mod tests;
