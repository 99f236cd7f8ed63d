//! Numbers and addresses as text, without the formatting machinery: a record
//! has a dozen of them.

use std::{
    fmt::Write as _,
    net::{SocketAddr, SocketAddrV4},
};

/// Appends the last digit of a number.
fn digit(out: &mut String, number: u32) {
    out.push(char::from_digit(number % 10, 10).unwrap_or('0'));
}

/// Appends a number of two digits, with a zero before it where it is less.
pub(super) fn two(out: &mut String, number: u32) {
    digit(out, number / 10);
    digit(out, number);
}

/// Likewise of three.
pub(super) fn three(out: &mut String, number: u32) {
    digit(out, number / 100);
    two(out, number);
}

/// Appends a number.
pub(super) fn number(out: &mut String, number: u32) {
    match number {
        0..10 => digit(out, number),
        10..100 => two(out, number),
        100..1000 => three(out, number),
        _ => {
            self::number(out, number / 1000);
            three(out, number % 1000);
        }
    }
}

/// Appends a number as sixteen hexadecimal digits.
pub(super) fn hash(out: &mut String, hash: u64) {
    for byte in hash.to_be_bytes() {
        for half in [byte >> 4, byte & 0xf] {
            out.push(char::from_digit(half.into(), 16).unwrap_or('0'));
        }
    }
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
    let [a, b, c, d] = address.ip().octets();
    for (octet, after) in [(a, '.'), (b, '.'), (c, '.'), (d, ':')] {
        number(out, octet.into());
        out.push(after);
    }
    number(out, address.port().into());
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
        let many = (0..2000).chain([9_999, 10_000, 65_535, 65_536, 999_999, 1_000_000, u32::MAX]);
        for value in many {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
        for value in [0, 9, 10, 99] {
            assert_eq!(written(|out| two(out, value)), format!("{value:02}"));
        }
        for value in [0, 9, 10, 99, 100, 999] {
            assert_eq!(written(|out| three(out, value)), format!("{value:03}"));
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
