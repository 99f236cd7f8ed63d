//! The stories, in the order in which they are told.

mod audit;
mod cassandra;
mod crash;
mod droid;
mod edit;
mod memcached;

use anyhow::Result;

use super::stage::Stage;
use super::table::Row;

/// One of the demo's stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Story {
    /// Who may do what to which keys of memcached.
    Memcached,
    /// Which orders the droid takes.
    Droid,
    /// A policy edited under an open connection.
    Edit,
    /// A sidecar killed in the middle of everything.
    Crash,
    /// Who may read and write which tables of Cassandra; only with `--cassandra`.
    Cassandra,
    /// The memcached policy, watching only; only with `--audit`.
    Audit,
}

impl Story {
    /// Those that are told unasked, Cassandra's if its server is wanted.
    pub(super) const ALL: [Self; 5] =
        [Self::Memcached, Self::Droid, Self::Cassandra, Self::Edit, Self::Crash];

    /// Its name on the command line and in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memcached => "memcached",
            Self::Droid => "droid",
            Self::Edit => "edit",
            Self::Crash => "crash",
            Self::Cassandra => "cassandra",
            Self::Audit => "audit",
        }
    }

    /// Its headline in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Memcached => "memcached: who may do what to which keys",
            Self::Droid => "r2d2: which orders a droid takes from a jedi, over IPv6",
            Self::Edit => "policy edit: the same open connection is judged anew",
            Self::Crash => "SIGKILL of memcached's sidecar",
            Self::Cassandra => "cassandra: who may do what to which tables",
            Self::Audit => "audit: the same policy only watches, and the log tells",
        }
    }

    /// What is said while it plays.
    pub(super) fn announcement(self) -> &'static str {
        match self {
            Self::Memcached => "five clients ask memcached",
            Self::Droid => "a jedi orders the droid about",
            Self::Edit => "editing a policy under an open connection",
            Self::Crash => "killing memcached's sidecar",
            Self::Cassandra => "an outpost and its headquarters ask Cassandra",
            Self::Audit => "putting memcached's policy into audit mode",
        }
    }

    /// Plays it.
    pub(super) fn play(self, stage: &Stage) -> Result<Vec<Row>> {
        match self {
            Self::Memcached => memcached::play(stage),
            Self::Droid => droid::play(stage),
            Self::Edit => edit::play(stage),
            Self::Crash => crash::play(stage),
            Self::Cassandra => cassandra::play(stage),
            Self::Audit => audit::play(stage),
        }
    }
}
