//! Which identity an address has.

mod ranges;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use remora_api::cilium;

use self::ranges::{Prefix, Ranges};

/// How many addresses and prefixes there may be.
pub const MAX_HOSTS: usize = 1 << 20;

/// The reserved identity whose prefixes are the cluster's own ranges: who is
/// in them, and in no longer prefix, belongs to the cluster and is not known
/// yet. No rule names it.
pub const UNKNOWN: u32 = 0;

/// The reserved identity of everything outside the cluster: `0.0.0.0/0`, `::/0`.
pub const WORLD: u32 = 2;

/// Prefixes and their identities; the longest prefix that holds an address
/// wins. A prefix that two identities claim belongs to neither: what lies in
/// it, and in no longer one, is unknown.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This identity, be it [`WORLD`].
    Identity(u32),
    /// Somebody of the cluster of whom the next update may tell more, or one
    /// of several who claim the address.
    Unknown,
    /// Nobody: no prefix holds it, and waiting would not help.
    Nobody,
}

impl Holder {
    /// The identity that rules are asked about.
    #[must_use]
    pub fn identity(self) -> Option<u32> {
        match self {
            Self::Identity(identity) => Some(identity),
            Self::Unknown | Self::Nobody => None,
        }
    }
}

/// Why a discovery response of hosts is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Not an address, nor a prefix.
    #[error("identity {identity}: `{address}` is neither an address nor a prefix")]
    Address {
        /// Whose it would be.
        identity: u64,
        /// What stands there.
        address: String,
    },
    /// A prefix with bits that it does not cover.
    #[error("identity {identity}: `{address}` has bits set beyond its length")]
    Unmasked {
        /// Whose it would be.
        identity: u64,
        /// What stands there.
        address: String,
    },
    /// A number that no rule could name.
    #[error("identity {0} has more than 32 bits")]
    Identity(u64),
    /// More than [`MAX_HOSTS`].
    #[error("more than {MAX_HOSTS} addresses")]
    TooMany,
}

impl Hosts {
    /// Compiles what a discovery response holds.
    ///
    /// # Errors
    /// A [`HostsError`] that names the identity and the address.
    pub fn compile(hosts: &[cilium::NetworkPolicyHosts]) -> Result<Self, HostsError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let total: usize = hosts.iter().map(|host| host.host_addresses.len()).sum();
        if total > MAX_HOSTS {
            return Err(HostsError::TooMany);
        }
        for host in hosts {
            let identity =
                u32::try_from(host.policy).map_err(|_| HostsError::Identity(host.policy))?;
            for address in &host.host_addresses {
                match read(identity, address)? {
                    (IpAddr::V4(first), length) => {
                        v4.push(Prefix { first: first.to_bits(), length, identity });
                    }
                    (IpAddr::V6(first), length) => {
                        v6.push(Prefix { first: first.to_bits(), length, identity });
                    }
                }
            }
        }
        Ok(Self { v4: Ranges::new(v4), v6: Ranges::new(v6) })
    }

    /// The identity of an address; `None` where it is unknown or nobody's.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<u32> {
        self.holder(address).identity()
    }

    /// Who has an address, as far as is known.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Holder {
        // A v4 client of a v6 socket is the v4 host that it is.
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.holder(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.holder(v6.to_bits()),
        }
    }
}

/// The first address of a prefix, and its length.
fn read(identity: u32, text: &str) -> Result<(IpAddr, u8), HostsError> {
    let identity = u64::from(identity);
    let wrong = || HostsError::Address { identity, address: text.to_owned() };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let (zeros, longest) = match address {
        IpAddr::V4(v4) => (v4.to_bits().trailing_zeros(), 32),
        IpAddr::V6(v6) => (v6.to_bits().trailing_zeros(), 128),
    };
    let length: u8 = length.unwrap_or(longest);
    let free = longest.checked_sub(length).ok_or_else(wrong)?;
    if zeros < u32::from(free) {
        return Err(HostsError::Unmasked { identity, address: text.to_owned() });
    }
    Ok((address, length))
}
