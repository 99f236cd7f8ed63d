//! Peers of the cluster whose identity is not known yet. A pod may connect, or
//! be connected to, before the agent's word of it has come, so a connection that
//! is denied for lack of an identity alone waits for that word, within bounds.

use std::{net::SocketAddr, time::Duration};

use remora_policy::{Admission, Holder, Reason};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};

use crate::errors::{Error, Unknown};

/// How many may wait at a time.
const MAX_WAITING: usize = 1024;

/// How long a peer that has become known may wait for the policy that names
/// it: the agent tells a change's addresses before its rules, which it holds
/// back for at most so long.
const RULES_FOLLOW: Duration = Duration::from_secs(1);

/// Who a peer is, and what policy says to that.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Where the connection leads.
    pub(super) target: SocketAddr,
    pub(super) holder: Holder,
    pub(super) admission: Admission,
}

impl View {
    /// Whether it is denied for lack of an identity alone.
    pub(super) fn may_become_known(&self) -> bool {
        self.holder == Holder::Unknown && self.is_open()
    }

    /// Whether an identity, or other rules for it, could still admit it.
    ///
    /// A port that no rule is about counts: rules that name nobody are left
    /// out of a slice, and the first pod that they name brings them back. What
    /// denies everybody does not, and neither does a slice that has not come.
    fn is_open(&self) -> bool {
        let Admission::Deny(decision) = &self.admission else { return false };
        matches!(decision.reason, Reason::PeerUnmatched { .. } | Reason::PortClosed { .. })
    }
}

/// Where they wait.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    seats: Semaphore,
    patience: Duration,
}

impl WaitingRoom {
    /// A room where each waits at most for `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { seats: Semaphore::new(MAX_WAITING), patience }
    }

    /// How many wait just now.
    pub(crate) fn waiting(&self) -> usize {
        MAX_WAITING.saturating_sub(self.seats.available_permits())
    }

    /// What becomes of a connection. Asks for its view again whenever
    /// something changes, until that is final or time is up.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it stays unknown who the peer is; what `view`
    /// fails with.
    pub(super) async fn admission(
        &self,
        changes: &mut watch::Receiver<()>,
        view: impl Fn() -> Result<View, Error>,
    ) -> Result<View, Error> {
        let mut now = view()?;
        if !now.may_become_known() {
            return Ok(now);
        }
        let Ok(_seat) = self.seats.try_acquire() else {
            return Err(Error::Unknown(Unknown::Crowded(MAX_WAITING)));
        };
        let patience = Instant::now() + self.patience;
        let mut until = patience;
        while let Ok(Ok(())) = timeout_at(until, changes.changed()).await {
            let before = now.holder;
            now = view()?;
            if !now.is_open() {
                return Ok(now);
            }
            if now.holder == Holder::Unknown {
                until = patience;
            } else if before == Holder::Unknown {
                until = patience.min(Instant::now() + RULES_FOLLOW);
            }
        }
        match now.holder {
            Holder::Unknown => Err(Error::Unknown(Unknown::Late(self.patience))),
            Holder::Identity(_) | Holder::Nobody => Ok(now),
        }
    }
}

#[cfg(test)]
mod tests;
