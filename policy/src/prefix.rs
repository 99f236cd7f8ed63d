//! Prefixes of addresses: what a CIDR says.

use std::{fmt, net::IpAddr, str::FromStr};

/// Addresses that begin with the same bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// It is none at all.
    #[error("`{0}` is no range of addresses; write one such as 10.244.0.0/16")]
    Malformed(String),
    /// It begins inside itself.
    #[error("`{0}` has bits set beyond its length; write {1}")]
    Unmasked(String, Prefix),
    /// It is everything.
    #[error("`{0}` is the whole world, and not a cluster's own range")]
    World(String),
}

impl Prefix {
    /// The prefix that holds this address alone.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: longest(address) }
    }

    /// The first `length` bits of an address: more than it has are all it has.
    #[must_use]
    pub fn masked(address: IpAddr, length: u8) -> Self {
        let length = length.min(longest(address));
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask =
                    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, length }
    }

    /// Reads `ADDRESS/LENGTH`, or an address alone, which is the prefix of
    /// itself. Bits beyond the length are cleared.
    ///
    /// # Errors
    /// [`PrefixError::Malformed`], also for an IPv4 address in IPv6's clothes.
    pub fn read(text: &str) -> Result<Self, PrefixError> {
        let malformed = || PrefixError::Malformed(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let length = match length {
            // `+8` and `08` are numbers, but no lengths.
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|length: &u8| length.to_string() == digits)
                .ok_or_else(malformed)?,
            None => longest(address),
        };
        if length > longest(address) || address.to_canonical() != address {
            return Err(malformed());
        }
        Ok(Self::masked(address, length))
    }

    /// Whether all addresses of `other` are in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.length <= other.length && Self::masked(other.address, self.length) == *self
    }

    /// Itself, or the two halves of everything: an entry for everything is
    /// the world's, and would be contested.
    pub(crate) fn without_everything(self) -> impl Iterator<Item = Self> {
        let upper = match self.address {
            IpAddr::V4(_) => IpAddr::from([128, 0, 0, 0]),
            IpAddr::V6(_) => IpAddr::from([0x8000, 0, 0, 0, 0, 0, 0, 0]),
        };
        let (first, second) = match self.length {
            0 => (Self { length: 1, ..self }, Some(Self { address: upper, length: 1 })),
            _ => (self, None),
        };
        std::iter::once(first).chain(second)
    }
}

fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// As the ranges of a cluster are written: `ADDRESS/LENGTH`, masked, and not everything.
impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, _) =
            text.split_once('/').ok_or_else(|| PrefixError::Malformed(text.to_owned()))?;
        let prefix = Self::read(text)?;
        if prefix.length == 0 {
            return Err(PrefixError::World(text.to_owned()));
        }
        if address.parse() != Ok(prefix.address) {
            return Err(PrefixError::Unmasked(text.to_owned(), prefix));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Result<Prefix, PrefixError> {
        text.parse()
    }

    #[test]
    fn a_range_is_read_or_refused_with_the_remedy() {
        for good in ["10.0.0.0/8", "10.1.2.3/32", "fd00::/8", "fd00::1/128"] {
            assert_eq!(prefix(good).expect(good).to_string(), good);
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1"] {
            assert_eq!(prefix(bad), Err(PrefixError::Malformed(bad.to_owned())));
        }
        let error = prefix("10.1.2.3/16").expect_err("unmasked").to_string();
        assert_eq!(error, "`10.1.2.3/16` has bits set beyond its length; write 10.1.0.0/16");
        assert!(matches!(prefix("0.0.0.0/0"), Err(PrefixError::World(_))));
    }

    #[test]
    fn a_cidr_of_a_policy_is_read_more_freely() {
        for (text, expected) in [
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("fd00::1", "fd00::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(Prefix::read(text).expect(text).to_string(), expected);
        }
        for bad in ["10.0.0.0/08", "10.0.0.0/+8", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "x"] {
            assert_eq!(Prefix::read(bad), Err(PrefixError::Malformed(bad.to_owned())));
        }
    }

    #[test]
    fn what_is_in_what() {
        let read = |text| Prefix::read(text).expect("a prefix");
        for (outer, inner, expected) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/8", false),
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("0.0.0.0/0", "fd00::/8", false),
            ("::/0", "10.0.0.0/8", false),
        ] {
            assert_eq!(read(outer).contains(&read(inner)), expected, "{inner} in {outer}");
        }
    }

    #[test]
    fn everything_is_written_in_halves() {
        let halves = |text| {
            let prefix = Prefix::read(text).expect("a prefix");
            prefix.without_everything().map(|half| half.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(halves("0.0.0.0/0"), ["0.0.0.0/1", "128.0.0.0/1"]);
        assert_eq!(halves("::/0"), ["::/1", "8000::/1"]);
        assert_eq!(halves("10.0.0.0/8"), ["10.0.0.0/8"]);
    }
}
