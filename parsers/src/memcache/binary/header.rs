//! The header of a frame, of either side.

use super::super::{DENIED_MESSAGE, DENIED_STATUS, MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// The length of a header, in bytes.
pub(super) const HEADER: usize = 24;

/// The most bytes of extras that any frame has.
const MAX_EXTRAS: u32 = 20;

/// The longest body that is passed, in bytes: extras, key and value.
const MAX_BODY: u64 = MAX_VALUE_BYTES.saturating_add(512);

/// A header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) magic: u8,
    pub(super) opcode: u8,
    pub(super) key: u16,
    pub(super) extras: u8,
    pub(super) data_type: u8,
    /// A request's vbucket, a reply's status.
    pub(super) status: u16,
    /// Extras, key and value together.
    pub(super) body: u32,
    pub(super) opaque: [u8; 4],
    pub(super) cas: u64,
}

impl Header {
    /// The header at the front of `data`, once all of it is there.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = data.first_chunk()?;
        let [
            magic,
            opcode,
            k1,
            k0,
            extras,
            data_type,
            s1,
            s0,
            b3,
            b2,
            b1,
            b0,
            o3,
            o2,
            o1,
            o0,
            cas @ ..,
        ] = *bytes;
        Some(Self {
            magic,
            opcode,
            key: u16::from_be_bytes([k1, k0]),
            extras,
            data_type,
            status: u16::from_be_bytes([s1, s0]),
            body: u32::from_be_bytes([b3, b2, b1, b0]),
            opaque: [o3, o2, o1, o0],
            cas: u64::from_be_bytes(cas),
        })
    }

    /// What every frame keeps to, whoever sends it.
    pub(super) fn check(&self, magic: u8) -> Result<(), &'static str> {
        if self.magic != magic {
            return Err("a frame with another magic than its side's");
        }
        if self.data_type != 0 {
            return Err("a data type other than raw bytes");
        }
        if usize::from(self.key) > MAX_KEY_BYTES {
            return Err("a key of more than 250 bytes");
        }
        if u32::from(self.extras) > MAX_EXTRAS {
            return Err("more extras than any frame has");
        }
        if u64::from(self.body) > MAX_BODY {
            return Err("a frame of more than 1 GiB");
        }
        if self.value().is_none() {
            return Err("a body shorter than extras and key");
        }
        Ok(())
    }

    /// The value's length; none where the lengths contradict each other.
    pub(super) fn value(&self) -> Option<u32> {
        self.body.checked_sub(u32::from(self.extras))?.checked_sub(u32::from(self.key))
    }

    /// The frame's length.
    pub(super) fn frame(&self) -> u64 {
        u64::from(self.body).saturating_add(u64::try_from(HEADER).unwrap_or(u64::MAX))
    }

    /// Header, extras and key: what has to be seen of a request.
    pub(super) fn head(&self) -> usize {
        HEADER.saturating_add(usize::from(self.extras)).saturating_add(usize::from(self.key))
    }

    /// The denial of this request.
    pub(super) fn denial(&self) -> Vec<u8> {
        let length = u32::try_from(DENIED_MESSAGE.len()).unwrap_or(0);
        let mut reply = Vec::with_capacity(HEADER.saturating_add(DENIED_MESSAGE.len()));
        reply.extend_from_slice(&[super::parser::REPLY, self.opcode, 0, 0, 0, 0]);
        reply.extend_from_slice(&DENIED_STATUS.to_be_bytes());
        reply.extend_from_slice(&length.to_be_bytes());
        reply.extend_from_slice(&self.opaque);
        reply.extend_from_slice(&[0; 8]);
        reply.extend_from_slice(DENIED_MESSAGE);
        reply
    }
}
