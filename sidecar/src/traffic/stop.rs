//! How connections hear that they are to end: those at rest at once, the
//! others as soon as they are, and all of them when time is up.

use tokio::sync::watch;

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nobody has asked for one.
    Serve,
    /// Nobody new is let in; a connection ends between its requests.
    Drain,
    /// Time is up.
    End,
}

/// Tells a connection how far a stop has come.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<Stage>);

impl Stop {
    /// The one who tells, and the first who hears.
    pub(super) fn new() -> (watch::Sender<Stage>, Self) {
        let (tell, hear) = watch::channel(Stage::Serve);
        (tell, Self(hear))
    }

    /// Waits until connections have to end.
    pub(super) async fn asked(&mut self) {
        while self.beyond(Stage::Drain).await < Stage::End {}
    }

    /// Waits until the stop has come further than `stage`.
    pub(super) async fn beyond(&mut self, stage: Stage) -> Stage {
        // Whoever could ask is gone: that is asking, too.
        self.0.wait_for(|now| *now > stage).await.map_or(Stage::End, |now| *now)
    }
}
