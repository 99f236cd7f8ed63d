//! Numbers and addresses as text, without the formatting machinery: a record
//! has a dozen of them.

use std::{
    fmt::Write as _,
    net::{SocketAddr, SocketAddrV4},
    str,
};

/// More than the longest text that is put together here.
const MOST: usize = 24;

/// ASCII that is put together before it is appended at one go.
#[derive(Default)]
pub(super) struct Short {
    bytes: [u8; MOST],
    length: usize,
}

impl Short {
    pub(super) fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length = self.length.saturating_add(1);
        }
    }

    /// A number, with zeros before it up to `width` digits.
    pub(super) fn number(&mut self, number: u32, width: u32) {
        if number >= 10 || width > 1 {
            self.number(number / 10, width.saturating_sub(1));
        }
        self.byte(b'0'.saturating_add(u8::try_from(number % 10).unwrap_or_default()));
    }

    pub(super) fn append_to(&self, out: &mut String) {
        let text = self.bytes.get(..self.length).and_then(|text| str::from_utf8(text).ok());
        out.push_str(text.unwrap_or_default());
    }
}

/// Appends a number.
pub(super) fn number(out: &mut String, number: u32) {
    let mut digits = Short::default();
    digits.number(number, 1);
    digits.append_to(out);
}

/// Appends a number as sixteen hexadecimal digits.
pub(super) fn hash(out: &mut String, hash: u64) {
    let mut digits = Short::default();
    for byte in hash.to_be_bytes() {
        for half in [byte >> 4, byte & 0xf] {
            digits.byte(if half < 10 { b'0' } else { b'a' - 10 }.saturating_add(half));
        }
    }
    digits.append_to(out);
}

/// Appends an address and its port.
pub(super) fn address(out: &mut String, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => v4(out, address),
        // Writing to a String cannot fail.
        SocketAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

fn v4(out: &mut String, address: SocketAddrV4) {
    let mut text = Short::default();
    let [a, b, c, d] = address.ip().octets();
    for (octet, after) in [(a, b'.'), (b, b'.'), (c, b'.'), (d, b':')] {
        text.number(octet.into(), 1);
        text.byte(after);
    }
    text.number(address.port().into(), 1);
    text.append_to(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_look_as_everywhere() {
        for value in [0, 1, 9, 10, 99, 100, 65_535, 65_536, u32::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
            let mut padded = Short::default();
            padded.number(value, 4);
            assert_eq!(written(|out| padded.append_to(out)), format!("{value:04}"));
        }
        for value in [0, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(written(|out| hash(out, value)), format!("{value:016x}"));
        }
    }

    #[test]
    fn addresses_look_as_everywhere() {
        for text in ["0.0.0.0:0", "10.0.0.1:80", "255.255.255.255:65535", "[fd00::1]:11211"] {
            assert_eq!(written(|out| address(out, text.parse().unwrap())), text);
        }
    }
}
