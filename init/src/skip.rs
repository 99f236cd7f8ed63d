//! Ports and networks that are left alone.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::Family;

/// A port, or a range of them. Prints as iptables does: `80`, `8000:8010`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// A network in canonical form. Prints as iptables does, a single address as `/32` or `/128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    ip: IpAddr,
    length: u8,
}

/// Why it is none, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipError {
    /// Neither a port nor a range.
    #[error("write a port from 1 to 65535, or a range such as 8000-8010")]
    Ports,
    /// No address, or a length that its family does not have.
    #[error("write an address or a network such as 10.1.0.0/16 or fd00:1::/32")]
    Cidr,
    /// Bits beyond the length: which network is meant cannot be told.
    #[error("has bits set beyond its length: write {0}")]
    Unmasked(Cidr),
    /// Everything.
    #[error("is every address there is: nothing would be redirected")]
    Everything,
    /// An IPv4 address in the clothes of IPv6: no packet has it.
    #[error("maps IPv4 into IPv6: write the IPv4 network")]
    Mapped,
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self { first: port, last: port }
    }
}

impl FromStr for Ports {
    type Err = SkipError;

    fn from_str(text: &str) -> Result<Self, SkipError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(SkipError::Ports),
        }
    }
}

impl FromStr for Cidr {
    type Err = SkipError;

    fn from_str(text: &str) -> Result<Self, SkipError> {
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| SkipError::Cidr)?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some("0") => return Err(SkipError::Everything),
            Some(text) => number(text).ok_or(SkipError::Cidr)?,
        };
        if length > longest {
            return Err(SkipError::Cidr);
        }
        if matches!(ip, IpAddr::V6(v6) if v6.to_ipv4().is_some() && !v6.is_loopback()) {
            return Err(SkipError::Mapped);
        }
        // At most 128, by the check above.
        let masked = Self { ip: masked(ip, length), length: u8::try_from(length).unwrap_or(128) };
        if masked.ip == ip { Ok(masked) } else { Err(SkipError::Unmasked(masked)) }
    }
}

impl Cidr {
    /// Whose addresses these are.
    pub fn family(&self) -> Family {
        if self.ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}:{last}"),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}

/// A number above zero as iptables prints it: digits alone, no sign, no leading zero.
fn number(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

fn masked(ip: IpAddr, length: u16) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let beyond = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & !beyond).into())
        }
        IpAddr::V6(ip) => {
            let beyond = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & !beyond).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, Ports};

    fn ports(text: &str) -> Result<String, String> {
        text.parse::<Ports>().map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    fn cidr(text: &str) -> Result<String, String> {
        text.parse::<Cidr>().map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn ports_and_ranges() {
        for (text, printed) in [("1", "1"), ("65535", "65535"), ("80-90", "80:90"), ("7-7", "7")] {
            assert_eq!(ports(text).as_deref(), Ok(printed));
        }
        for wrong in
            ["", "0", "65536", "90-80", "80-", "-80", "80:90", "+80", "080", "http", "1-2-3"]
        {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_in_canonical_form() {
        for (text, printed) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("128.0.0.0/1", "128.0.0.0/1"),
            ("fd00:0:0:1:0:0:0:0/64", "fd00:0:0:1::/64"),
            ("FD00::1/128", "fd00::1/128"),
        ] {
            assert_eq!(cidr(text).as_deref(), Ok(printed));
        }
        for (wrong, says) in [
            ("10.0.0.0/33", "write an address"),
            ("fd00::/129", "write an address"),
            ("10.0.0.0/08", "write an address"),
            ("10.0.0.0/", "write an address"),
            ("10.0.0/8", "write an address"),
            ("example.org", "write an address"),
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("fd00::1/64", "write fd00::/64"),
            ("0.0.0.0/0", "every address"),
            ("::/0", "every address"),
            ("::ffff:10.0.0.0/104", "write the IPv4 network"),
        ] {
            let error = cidr(wrong).expect_err(wrong);
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
