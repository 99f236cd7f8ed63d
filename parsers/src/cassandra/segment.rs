//! The segments of v5 (section 2 of its specification; it calls them frames):
//! envelopes in pieces with checksums.
//!
//! ```text
//! length (17 bits), self-contained (1), padding (6), CRC24 of these; payload; its CRC32
//! ```
//!
//! Numbers are little-endian. A self-contained segment holds whole envelopes,
//! any other a part of one that is too long for a segment.

use super::{MAX_BODY_BYTES, frame::HEADER as ENVELOPE};
use crate::{
    codec::{Codec, Decoded},
    contract::Direction,
};

/// The longest payload of a segment, in bytes.
pub const MAX_PAYLOAD: usize = (128 << 10) - 1;

/// The length of a segment's header, in bytes, and of its trailer.
const HEADER: usize = 6;
const TRAILER: usize = 4;

const SELF_CONTAINED: u32 = 1 << 17;
const PADDING: u32 = 0x3f << 18;

/// What each CRC32 begins with.
const CRC32_FIRST: &[u8] = &[0xfa, 0x2d, 0x55, 0xca];

/// Reads and writes segments.
#[derive(Debug, Default)]
pub struct Segments {
    decoded: [Track; 2],
    encoded: [Track; 2],
}

/// Where a stream of envelopes has come to.
#[derive(Debug, Default)]
struct Track {
    /// Bytes that are still to come of the envelope under way.
    left: usize,
}

fn of(tracks: &mut [Track; 2], direction: Direction) -> &mut Track {
    let [request, reply] = tracks;
    match direction {
        Direction::Request => request,
        Direction::Reply => reply,
    }
}

impl Codec for Segments {
    fn decode<'w>(
        &mut self,
        direction: Direction,
        wire: &'w [u8],
    ) -> Result<Decoded<'w>, &'static str> {
        let Some([h0, h1, h2, c0, c1, c2]) = wire.first_chunk::<HEADER>() else {
            return Ok(short(HEADER, wire));
        };
        let header = u32::from_le_bytes([*h0, *h1, *h2, 0]);
        if crc24(header) != u32::from_le_bytes([*c0, *c1, *c2, 0]) {
            return Err("a segment whose header is damaged");
        }
        let length = usize::try_from(header & (SELF_CONTAINED - 1)).unwrap_or(usize::MAX);
        if length == 0 || header & PADDING != 0 {
            return Err("a segment that is empty or padded");
        }
        let end = HEADER.saturating_add(length);
        let whole = end.saturating_add(TRAILER);
        let (Some(payload), Some(crc)) = (wire.get(HEADER..end), wire.get(end..whole)) else {
            return Ok(short(whole, wire));
        };
        if crc32(payload).to_le_bytes() != crc {
            return Err("a segment whose payload is damaged");
        }
        of(&mut self.decoded, direction).follow(payload, header & SELF_CONTAINED != 0)?;
        Ok(Decoded::Unit { length: u64::try_from(whole).unwrap_or(u64::MAX), plain: payload })
    }

    fn encode(&mut self, direction: Direction, plain: &mut Vec<u8>) -> Vec<u8> {
        let track = of(&mut self.encoded, direction);
        let (mut wire, mut done) = (Vec::new(), 0usize);
        while let Some((length, whole)) = track.next(plain.get(done..).unwrap_or_default()) {
            let end = done.saturating_add(length);
            write(&mut wire, plain.get(done..end).unwrap_or_default(), whole);
            done = end;
        }
        plain.drain(..done.min(plain.len()));
        if plain.is_empty() {
            *plain = Vec::new();
        }
        wire
    }
}

impl Track {
    /// Checks that a payload holds what its segment says.
    fn follow(&mut self, payload: &[u8], whole: bool) -> Result<(), &'static str> {
        const WRONG: &str = "a segment that does not hold what it says";
        if whole {
            let mut rest = payload;
            while !rest.is_empty() {
                let length = envelope(rest).ok_or(WRONG)?;
                rest = rest.get(length..).ok_or(WRONG)?;
            }
            return if self.left == 0 { Ok(()) } else { Err(WRONG) };
        }
        let all = if self.left > 0 { self.left } else { envelope(payload).ok_or(WRONG)? };
        let first = self.left == 0;
        self.left = all.checked_sub(payload.len()).ok_or(WRONG)?;
        if first && self.left == 0 { Err(WRONG) } else { Ok(()) }
    }

    /// The length of the next segment's payload, and whether it holds whole
    /// envelopes.
    fn next(&mut self, plain: &[u8]) -> Option<(usize, bool)> {
        if plain.is_empty() {
            return None;
        }
        if self.left == 0 {
            let length = self.whole_envelopes(plain);
            if length > 0 {
                return Some((length, true));
            }
            self.left = envelope(plain).filter(|length| *length > MAX_PAYLOAD)?;
        }
        let length = self.left.min(plain.len()).min(MAX_PAYLOAD);
        self.left = self.left.saturating_sub(length);
        Some((length, false))
    }

    /// How many bytes of whole envelopes fit into a segment.
    fn whole_envelopes(&self, plain: &[u8]) -> usize {
        let mut end = 0usize;
        loop {
            let rest = plain.get(end..).unwrap_or_default();
            let Some(length) = envelope(rest).filter(|length| *length <= rest.len()) else {
                return end;
            };
            let next = end.saturating_add(length);
            if next > MAX_PAYLOAD {
                return end;
            }
            end = next;
        }
    }
}

/// The length of the envelope at the front, once its header is there.
fn envelope(data: &[u8]) -> Option<usize> {
    let [.., b3, b2, b1, b0] = *data.first_chunk::<ENVELOPE>()?;
    let body = u32::from_be_bytes([b3, b2, b1, b0]).min(MAX_BODY_BYTES.saturating_add(1));
    Some(usize::try_from(body).ok()?.saturating_add(ENVELOPE))
}

fn write(wire: &mut Vec<u8>, payload: &[u8], whole: bool) {
    let length = u32::try_from(payload.len()).unwrap_or(0);
    let header = if whole { length | SELF_CONTAINED } else { length };
    for number in [header, crc24(header)] {
        let [b0, b1, b2, _] = number.to_le_bytes();
        wire.extend_from_slice(&[b0, b1, b2]);
    }
    wire.extend_from_slice(payload);
    wire.extend_from_slice(&crc32(payload).to_le_bytes());
}

fn short(needed: usize, wire: &[u8]) -> Decoded<'static> {
    Decoded::Short(u64::try_from(needed.saturating_sub(wire.len())).unwrap_or(u64::MAX))
}

fn crc32(payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(CRC32_FIRST);
    crc.update(payload);
    crc.finalize()
}

/// The CRC24 of a header's three bytes, lowest first.
fn crc24(header: u32) -> u32 {
    const FIRST: u32 = 0x0087_5060;
    const POLYNOMIAL: u32 = 0x0197_4f0b;
    let [b0, b1, b2, _] = header.to_le_bytes();
    let mut crc = FIRST;
    for byte in [b0, b1, b2] {
        crc ^= u32::from(byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & (1 << 24) != 0 {
                crc ^= POLYNOMIAL;
            }
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An envelope of v5 with a body of so many bytes.
    fn plain(body: usize) -> Vec<u8> {
        let mut bytes = vec![5, 0, 0, 1, 7];
        bytes.extend(u32::try_from(body).expect("small").to_be_bytes());
        bytes.extend((0..body).map(|n| n.to_le_bytes()[0]));
        bytes
    }

    fn decode(wire: &[u8]) -> Vec<u8> {
        let (mut codec, mut rest, mut all) = (Segments::default(), wire, Vec::new());
        while !rest.is_empty() {
            match codec.decode(Direction::Reply, rest) {
                Ok(Decoded::Unit { length, plain }) => {
                    all.extend_from_slice(plain);
                    rest = &rest[usize::try_from(length).expect("small")..];
                }
                other => panic!("{other:?}"),
            }
        }
        all
    }

    #[test]
    fn what_is_written_reads_the_same_at_every_size() {
        for bodies in [
            vec![0],
            vec![1, 2, 3],
            vec![MAX_PAYLOAD - ENVELOPE],
            vec![MAX_PAYLOAD - ENVELOPE + 1],
            vec![300_000, 5, 200_000, 0, 7],
        ] {
            let all: Vec<u8> = bodies.iter().flat_map(|body| plain(*body)).collect();
            for piece in [1_000_000, 70_000, 1_000] {
                let (mut codec, mut waiting, mut wire) =
                    (Segments::default(), Vec::new(), Vec::new());
                for piece in all.chunks(piece) {
                    waiting.extend_from_slice(piece);
                    wire.extend(codec.encode(Direction::Reply, &mut waiting));
                }
                assert!(waiting.is_empty());
                assert!(decode(&wire) == all, "{bodies:?} in pieces of {piece}");
            }
        }
    }

    /// As the client in Python writes an OPTIONS on stream 2.
    #[test]
    fn a_known_segment() {
        let known = b"\x09\x00\x02\xa4\xc8\xc1\x05\x00\x00\x02\x05\x00\x00\x00\x00\x1b\x27\xe0\x00";
        let mut written = Vec::new();
        write(&mut written, &known[HEADER..15], true);
        assert_eq!(written, known);
    }

    #[test]
    fn a_damaged_segment_is_noticed_at_every_bit() {
        let mut wire = Vec::new();
        write(&mut wire, &plain(20), true);
        for bit in 0..wire.len() * 8 {
            let mut damaged = wire.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = Segments::default().decode(Direction::Request, &damaged);
            assert!(read.is_err(), "bit {bit}: {read:?}");
        }
    }

    #[test]
    fn a_segment_holds_what_it_says() {
        let cut = &plain(20)[..15];
        for (payload, whole) in [(cut, true), (&plain(20)[..], false), (&[5, 0, 0][..], false)] {
            let mut wire = Vec::new();
            write(&mut wire, payload, whole);
            assert!(Segments::default().decode(Direction::Request, &wire).is_err());
        }
        let mut wire = Vec::new();
        write(&mut wire, b"", true);
        assert!(Segments::default().decode(Direction::Request, &wire).is_err());
    }
}
