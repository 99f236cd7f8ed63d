//! How many file descriptors there are, and what they are for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A connection's: to its client and to its server.
const PER_CONNECTION: usize = 2;

/// A pipe's two ends.
const PER_PIPE: usize = 2;

/// The most pipes, however many descriptors there are: what lies in them
/// counts against the container's memory.
const MOST_PIPES: usize = 32;

/// Kept for the sidecar itself, of many: its ports and who asks there, the
/// agent, the log.
const RESERVE: usize = 128;

/// What a process without a limit is taken to have.
const WITHOUT_LIMIT: usize = 1 << 20;

/// What the descriptors of this process are shared out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Connections that there is room for.
    pub(crate) connections: usize,
    /// Pipes likewise.
    pub(crate) pipes: usize,
}

impl Descriptors {
    /// Asks for as many as the process may have, and shares them out.
    pub(crate) fn claim() -> Self {
        let limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            // Without more it goes on with what there is.
            let _ = setrlimit(
                Resource::Nofile,
                Rlimit { current: limit.maximum, maximum: limit.maximum },
            );
        }
        let current = getrlimit(Resource::Nofile).current;
        Self::share(current.and_then(|n| usize::try_from(n).ok()).unwrap_or(WITHOUT_LIMIT))
    }

    /// A quarter is kept back, up to [`RESERVE`]; an eighth of the rest is for
    /// pipes, up to [`MOST_PIPES`]; what is left is for connections.
    fn share(all: usize) -> Self {
        let rest = all.saturating_sub(RESERVE.min(all / 4));
        let pipes = (rest / 8 / PER_PIPE).clamp(1, MOST_PIPES);
        let rest = rest.saturating_sub(pipes.saturating_mul(PER_PIPE));
        Self { connections: (rest / PER_CONNECTION).max(1), pipes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_out_is_never_more_than_there_is() {
        for all in [16, 64, 256, 1024, 20_000, 1 << 20] {
            let Descriptors { connections, pipes } = Descriptors::share(all);
            let used = connections * PER_CONNECTION + pipes * PER_PIPE;
            assert!(used <= all - RESERVE.min(all / 4), "{used} of {all}");
        }
    }

    #[test]
    fn few_descriptors_are_few_connections() {
        assert_eq!(Descriptors::share(256), Descriptors { connections: 84, pipes: 12 });
        assert_eq!(Descriptors::share(20_000).pipes, MOST_PIPES);
    }
}
