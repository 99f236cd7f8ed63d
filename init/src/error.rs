//! Why a family's table could not be read or changed, and what to do about it.

use std::fmt;

use crate::Family;

/// A command that failed: prints as `FAMILY: COMMAND: what; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{family}: {command}: {detail}; {}", .cause.remedy(*.family))]
pub struct TableError {
    /// The family whose table it is.
    pub family: Family,
    /// The command that failed.
    pub command: &'static str,
    /// Why.
    pub cause: Cause,
    /// What the command said.
    pub detail: String,
}

/// The kinds of failure, each with its own remedy and exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The command is not in the image.
    MissingBinary,
    /// The capability NET_ADMIN is missing.
    NotPermitted,
    /// The kernel has no NAT for this family.
    NoKernelSupport,
    /// Anything else that the command refused.
    Refused,
    /// The command was content, yet the rules are not there.
    NotInForce,
}

impl Cause {
    /// Guesses from what a command wrote to stderr. What is not understood counts as
    /// refused: only a lack of kernel support may ever be tolerated.
    pub(crate) fn of(stderr: &str) -> Self {
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| stderr.contains(phrase));
        if says(&["ermission denied", "not permitted", "must be root"]) {
            Self::NotPermitted
        } else if says(&[
            "can't initialize",
            "able does not exist",
            "missing kernel module",
            "not supported",
            "No such file or directory",
        ]) {
            Self::NoKernelSupport
        } else {
            Self::Refused
        }
    }

    /// The exit status that stands for it.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Refused | Self::NotInForce => 1,
            Self::MissingBinary => 3,
            Self::NotPermitted => 4,
            Self::NoKernelSupport => 5,
        }
    }

    fn remedy(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::MissingBinary, _) => "use an image that has iptables (nf_tables variant)",
            (Self::NotPermitted, _) => {
                "let the init container run as uid 0 with the capability NET_ADMIN"
            }
            (Self::NoKernelSupport, Family::V4) => {
                "load the kernel modules nft_chain_nat, nft_compat, xt_REDIRECT, xt_owner, \
                 xt_conntrack and xt_connmark on the node"
            }
            (Self::NoKernelSupport, Family::V6) => {
                "load the kernel modules nft_chain_nat, nft_compat, xt_REDIRECT, xt_owner, \
                 xt_conntrack and xt_connmark on the node, or give the pod no IPv6 address"
            }
            (Self::Refused, _) => "see what the command says",
            (Self::NotInForce, _) => {
                "see whether something else on the node changes the pod's rules, \
                 and whether iptables is the nf_tables variant"
            }
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn causes_are_told_apart() {
        let table = [
            (
                "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: \
                 Permission denied (you must be root)",
                Cause::NotPermitted,
            ),
            (
                "ip6tables v1.8.9 (legacy): can't initialize ip6tables table `nat': \
                 Table does not exist (do you need to insmod?)",
                Cause::NoKernelSupport,
            ),
            (
                "ip6tables-restore: line 3 failed: No such file or directory.",
                Cause::NoKernelSupport,
            ),
            (
                "Warning: Extension REDIRECT revision 0 not supported, missing kernel module?",
                Cause::NoKernelSupport,
            ),
            ("iptables-restore: line 2 failed", Cause::Refused),
            ("", Cause::Refused),
        ];
        for (stderr, cause) in table {
            assert_eq!(Cause::of(stderr), cause, "{stderr}");
        }
    }
}
