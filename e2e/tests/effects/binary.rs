//! Binary frames, honest and otherwise.

use super::{generator::Generator, oracle::KEYS};

/// A request's frame.
pub(crate) fn frame(opcode: u8, extras: &[u8], key: &[u8], value: &[u8], cas: u64) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut bytes = vec![0x80, opcode];
    bytes.extend((key.len() as u16).to_be_bytes());
    bytes.extend([extras.len() as u8, 0, 0, 0]);
    bytes.extend(body.to_be_bytes());
    bytes.extend([0, 0, 0, opcode]);
    bytes.extend(cas.to_be_bytes());
    [&bytes[..], extras, key, value].concat()
}

impl Generator {
    /// One request, mostly one that a client makes.
    pub(crate) fn binary_request(&mut self) -> Vec<u8> {
        let key = self.key().as_bytes();
        let (flags, expiry) = ([0; 8], [0, 0, 0, 100]);
        let cas = if self.chance(8) { self.random.u64(1..9) } else { 0 };
        match self.random.u8(..100) {
            0..38 => frame(self.one_of(&[0x00, 0x09, 0x0c, 0x0d]), &[], key, &[], 0),
            38..60 => {
                let opcode = self.one_of(&[0x01, 0x01, 0x02, 0x03, 0x11, 0x12, 0x13]);
                let value = if self.chance(30) { self.binary_payload() } else { b"7".to_vec() };
                frame(opcode, &flags, key, &value, cas)
            }
            60..66 => frame(self.one_of(&[0x04, 0x14]), &[], key, &[], cas),
            66..72 => {
                let mut extras = [0; 20];
                extras[7] = 1;
                extras[16..].fill(self.one_of(&[0, 0xff]));
                frame(self.one_of(&[0x05, 0x06, 0x15, 0x16]), &extras, key, &[], 0)
            }
            72..76 => frame(self.one_of(&[0x0e, 0x0f, 0x19, 0x1a]), &[], key, b"1", cas),
            76..84 => frame(self.one_of(&[0x1c, 0x1d, 0x1e, 0x23, 0x24]), &expiry, key, &[], 0),
            84..92 => frame(self.one_of(&[0x0a, 0x0a, 0x0b]), &[], &[], &[], 0),
            92..94 => frame(self.one_of(&[0x07, 0x17]), &[], &[], &[], 0),
            94..96 => frame(self.one_of(&[0x08, 0x18]), &[], &[], &[], 0),
            96..98 => frame(0x10, &[], self.pick(&["", "settings", "reset"]).as_bytes(), &[], 0),
            _ => frame(self.one_of(&[0x20, 0x1f]), &[], &[], &[], 0),
        }
    }

    fn one_of(&mut self, from: &[u8]) -> u8 {
        self.random.choice(from).copied().unwrap_or_default()
    }

    /// A request for a key that most policies forbid.
    fn binary_payload(&mut self) -> Vec<u8> {
        let key = self.pick(&KEYS[3..]).as_bytes();
        match self.random.u8(..4) {
            0 => frame(0x00, &[], key, &[], 0),
            1 => frame(0x04, &[], key, &[], 0),
            2 => frame(0x01, &[0; 8], key, b"x", 0),
            _ => frame(0x08, &[], &[], &[], 0),
        }
    }

    /// What servers and careless parsers read differently (threats rows 34, 35).
    pub(crate) fn binary_trick(&mut self) -> Vec<u8> {
        let (key, payload) = (self.key().as_bytes(), self.binary_payload());
        match self.random.u8(..7) {
            // Text, to the server: the value is lines of its own.
            0 => {
                let lines = [b"\r\n", &self.payload()[..], b"\r\n"].concat();
                let mut frame = frame(0x01, &[0; 8], key, &lines, 0);
                frame[0] = self.random.u8(0x81..);
                frame
            }
            // The server skips an unknown opcode's key twice, so that it takes
            // the hidden frame for the next.
            1 => {
                let skipped = vec![b'k'; 24 + 8 + key.len()];
                let opcode = self.one_of(&[0x1b, 0x1f, 0x25, 0x3d]);
                [frame(opcode, &[], &skipped, &[], 0), frame(0x01, &[0; 8], key, &payload, 0)]
                    .concat()
            }
            2 => {
                let mut frame = [frame(0x00, &[], key, &[], 0), payload].concat();
                frame[8..12].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
                frame
            }
            3 => {
                let mut frame = [frame(0x01, &[0; 8], key, b"v", 0), payload].concat();
                frame[11] = self.random.u8(..);
                frame
            }
            4 => {
                let mut frame = frame(0x00, &[], key, &[], 0);
                frame[self.random.usize(4..8)] = 1;
                frame
            }
            5 => frame(0x00, &[], key, &payload, 0),
            _ => frame(0x01, &[0; 8], &[b'k'; 251], &payload, 0),
        }
    }
}
